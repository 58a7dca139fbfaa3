# Two stages: 'export' has torch and makes the model fast; 'serve', the image that runs, has only what
# answers. README.md, "In a container", shows how to build and run it.

# The base, which docs/security.md shows how to fix by its digest.
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS export
WORKDIR /build
# The lock files are complete: only files with their hashes are installed, and nothing is resolved.
COPY requirements.txt requirements-torch.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt
# torch last and alone: where TORCH_INDEX names an index of CPU wheels, it has to have nothing else.
# Empty: pip's own index, whose build for Linux has CUDA in it.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r requirements-torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist .
RUN pip install --no-cache-dir --no-deps dist/*.whl
# The model: 'shipped', or a bundle in the build context, e.g. final_model or models/mine.
ARG MODEL=shipped
RUN --mount=type=bind,target=/context \
    cd /context && patclass export "$MODEL" -o /model && chmod -R a+rX /model

FROM ${PYTHON} AS serve
WORKDIR /app
RUN --mount=type=bind,source=requirements-serve.txt,target=requirements-serve.txt \
    pip install --no-cache-dir --no-deps --require-hashes -r requirements-serve.txt
RUN --mount=type=bind,from=export,source=/build/dist,target=dist \
    pip install --no-cache-dir --no-deps dist/*.whl
# A volume mounted here for the first time takes over the owner, so that keys can be made in it.
RUN install -d -o 10001 -g 10001 -m 700 /keys /store
COPY --from=export /model /model
# The root file system may be read-only; what wants a home finds it in the one place to write.
ENV HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PATCLASS_KEYS=/keys/patclass-keys.json \
    PATCLASS_MODEL=/model \
    PATCLASS_DATABASE_URL=sqlite:////store/patclass.db
USER 10001:10001
EXPOSE 9000
STOPSIGNAL SIGTERM
# Without a proxy, even where the environment names one.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:9000/livez', timeout=2)"]
CMD ["patclass", "serve", "--host", "0.0.0.0", "--port", "9000"]
