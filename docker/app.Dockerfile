# The explorer: a browser screen that talks to the server over REST. No torch, no ONNX Runtime.
FROM python:3.12-slim

WORKDIR /srv/strata
RUN useradd --system --create-home strata
ENV GRADIO_ANALYTICS_ENABLED=False

COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
RUN pip install --no-cache-dir -c constraints.txt '.[app]'

USER strata
EXPOSE 7860
CMD ["python", "-m", "app"]
