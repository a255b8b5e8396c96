# The explorer: a browser screen that talks to the server over REST. No torch, no ONNX Runtime, no pip.
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
RUN python -m venv --without-pip /opt/strata \
 && pip --python /opt/strata/bin/python install --no-cache-dir -c constraints.txt ".[app]"

FROM python:3.12.12-slim-bookworm
COPY --from=build /opt/strata /opt/strata
# Gradio keeps uploads in a temporary directory, and its libraries look for a home.
ENV PATH=/opt/strata/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    GRADIO_ANALYTICS_ENABLED=False GRADIO_TEMP_DIR=/tmp/gradio HOME=/tmp
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --start-interval=2s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/')"]
CMD ["python", "-m", "app"]
