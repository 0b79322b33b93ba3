# Builds an image with the gateway:
#   docker build -t scalegate .
# Makes a key, without which the gateway does not start:
#   docker run --rm -v scalegate-data:/data scalegate keys create NAME --scope admin
# Runs it in a network that has a sidecar at 127.0.0.1:49750, here a simulated one. Each container has a 127.0.0.1 of its
# own, so that the two share a network, and the port is published by the container that made it:
#   docker run -d --name sidecar -p 8080:8080 scalegate simulate
#   docker run --network container:sidecar --read-only --cap-drop ALL -v scalegate-data:/data scalegate
# With a sidecar at another address: -e SCALEGATE_SIDECAR_URL=http://ADDRESS:PORT
# With an admin key from elsewhere, instead of one that was made in the volume: -e SCALEGATE_ADMIN_KEY

# The slim image has the gcc that compiles the bundled SQLite and parts of ring. Both stages are of the same Debian
# release, so that the binary meets the glibc it was linked against.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies, in a layer of their own: built again only when the manifest or the lock file changes. A layer works
# with every builder and can be pulled from a registry as a cache; a BuildKit cache mount stays on the machine it was
# filled on, and other builders do not know it.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
# Cargo wants a file for each target that the manifest names, also for the benchmarks, which are not built here.
# It takes a file for changed only if it is newer than the last build, which the real sources need not be. Without
# what was built from the stubs there is nothing to compare them with.
RUN mkdir src benches \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs benches/streams.rs benches/performance.rs \
    && cargo build --profile dist --locked --bin scalegate \
    && cargo clean --profile dist --locked --package scalegate \
    && rm -r src

COPY openapi openapi
COPY src src
RUN cargo build --profile dist --locked --bin scalegate \
    && mkdir --parents --mode=0700 volumes/data

# No distribution and no shell: the C library, what gcc links, and the authorities that the client commands trust over HTTPS.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="scalegate" \
      org.opencontainers.image.description="An HTTP gateway that turns Omnistrate's capacity sidecar into a scaling API one can trust" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /build/target/dist/scalegate /usr/local/bin/
# A named volume takes over owner and mode of the directory it is mounted on. A directory of the host does not: it must
# belong to 65532, or be for its group, as Kubernetes' fsGroup makes it. What is in a copied directory keeps its mode with
# every builder; the copied directory itself does not.
COPY --from=build --chown=65532:65532 /build/volumes /

# In a container, 127.0.0.1 is the container alone. On all addresses the gateway wants an API key. The allocator gives memory
# back as soon as it is free: a flood of connections leaves nothing behind.
ENV MIMALLOC_PURGE_DELAY=0 \
    SCALEGATE_LISTEN=0.0.0.0:8080 \
    SCALEGATE_DATA_DIR=/data
EXPOSE 8080
VOLUME ["/data"]

# A number, since Kubernetes cannot tell from a name that a user is not root.
USER 65532:65532
# An unfinished job is on the disk at any time; with SIGTERM, answers under way are finished as well.
STOPSIGNAL SIGTERM
# Asks the gateway that the variables describe, over HTTPS if SCALEGATE_TLS_CERT is set, and needs no key.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["scalegate", "healthcheck"]
ENTRYPOINT ["scalegate"]
CMD ["serve"]
