# The server as an image, in two variants:
#   docker build -t s2s-gate .                        two CPU cores, the embedded models
#   docker build -t s2s-gate:cuda --target cuda .     an NVIDIA GPU
# What is in it and why: docs/deploy.md. No Docker at hand? `python -m scripts.clean_root` carries these steps out.

ARG PYTHON=3.11.14
ARG DEBIAN=bookworm

FROM python:${PYTHON}-slim-${DEBIAN} AS base

# The packages, before any code of ours: a change of the code leaves this layer as it is.
FROM base AS builder
ARG UV=0.13.9
RUN pip install --no-cache-dir "uv==${UV}"
ENV UV_NO_CACHE=1 \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/s2s
RUN uv venv --python /usr/local/bin/python3 "${VIRTUAL_ENV}"
WORKDIR /src
COPY pyproject.toml constraints.txt ./

FROM builder AS cpu-packages
RUN uv pip install --constraint constraints.txt --requirement pyproject.toml --extra server

FROM builder AS cuda-packages
RUN uv pip install --constraint constraints.txt --requirement pyproject.toml --extra gpu

# The program by itself, so that it is a small layer on top of its packages.
FROM builder AS program
COPY . .
RUN uv pip install --no-deps --prefix /opt/program .

# The embedded models. They depend on the table of their checksums alone, so they outlive most changes of the code.
FROM base AS weights
WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt click filelock platformdirs rich
COPY cli/__init__.py cli/__main__.py cli/weights.py ./cli/
COPY pipeline/weights ./pipeline/weights
RUN python -m cli weights pull --to /opt/weights

# Models of the hub, for a GPU. None by default: the server then pulls what its profile needs at its first start, into
# the volume /models. To have them in the image, gated ones included:
#   docker build --target cuda --build-arg HUB_PROFILE=l4 --secret id=hf_token,env=HF_TOKEN .
FROM cuda-packages AS hub-models
ARG HUB_PROFILE=
ENV HF_HOME=/models
COPY --from=program /opt/program /opt/s2s
RUN --mount=type=secret,id=hf_token,env=HF_TOKEN \
    mkdir /models \
    && if [ -n "${HUB_PROFILE}" ]; then /opt/s2s/bin/s2s weights pull --profile "${HUB_PROFILE}"; fi

FROM base AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="s2s-gate" \
      org.opencontainers.image.description="A speech-to-speech server, and the gate that decides whether it may be deployed" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number that a host is unlikely to have given to somebody; a number, because `runAsNonRoot` cannot check a name.
# OpenMP, which llama.cpp links against: the one library of the system that is not in a slim image.
# hadolint ignore=DL3008 # Debian keeps but one version of a package in a release: pinned, the next correction breaks this
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# /models is for a profile that takes models from the hub: a volume there keeps them from one start to the next.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin s2s \
    && install --directory --owner=s2s --group=s2s /models
# With S2S_WEIGHTS the embedded models are looked for there alone: nothing is downloaded, whatever happens.
ENV PATH=/opt/s2s/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/models \
    S2S_WEIGHTS=/opt/weights \
    S2S_PORT=80
USER 10001:10001
WORKDIR /home/s2s
EXPOSE 80
# Replies that are under way end first, within --drain-limit: give it more than Docker's ten seconds (stop --timeout 30).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"S2S_PORT\"]}/health', timeout=4)"]
ENTRYPOINT ["s2s"]
CMD ["serve", "--host", "0.0.0.0", "--log-format", "json"]

# The driver is the host's, brought in by its container toolkit; CUDA's libraries are packages of Python like the rest.
# They are torch's, of CUDA 13; with a driver too old for it the toolkit refuses to start the container, and says why.
FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_REQUIRE_CUDA="cuda>=13.0" \
    S2S_PROFILE=l4
COPY --from=cuda-packages /opt/s2s /opt/s2s
COPY --from=weights /opt/weights /opt/weights
COPY --from=hub-models --chown=10001:10001 /models /models
COPY --from=program /opt/program /opt/s2s

FROM runtime AS cpu
COPY --from=cpu-packages /opt/s2s /opt/s2s
COPY --from=weights /opt/weights /opt/weights
COPY --from=program /opt/program /opt/s2s
