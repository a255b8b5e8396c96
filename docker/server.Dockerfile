# The REST server with the shipped bundles, on the CPU. No torch, no Gradio.
FROM python:3.12-slim

WORKDIR /srv/strata
RUN useradd --system strata

COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY model_zoo model_zoo
COPY server server
RUN pip install --no-cache-dir -c constraints.txt '.[server,cpu]'

USER strata
EXPOSE 8000
CMD ["python", "-m", "server"]
