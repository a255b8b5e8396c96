# The REST server with the shipped bundles. No torch, no Gradio, no pip. DEVICE is cpu, or gpu for CUDA.
FROM python:3.12.12-slim-bookworm AS build
ARG DEVICE=cpu
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY model_zoo model_zoo
COPY server server
RUN python -m venv --without-pip /opt/strata \
 && pip --python /opt/strata/bin/python install --no-cache-dir -c constraints.txt ".[server,${DEVICE}]"

FROM python:3.12.12-slim-bookworm
COPY --from=build /opt/strata /opt/strata
ENV PATH=/opt/strata/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --start-interval=2s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz')"]
CMD ["python", "-m", "server"]
