# The HTTP service: docker build -t banner-detector . && docker run --rm -p 127.0.0.1:8000:8000 banner-detector
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY detector detector
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir '.[serve]'

FROM python:3.13-slim
COPY --from=build /venv /venv
RUN useradd --system --no-create-home --uid 10001 detector
USER 10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["detector", "serve", "--host", "0.0.0.0"]
