# Builds an image with the gateway: docker build -t scalegate .
# Makes a key, without which it does not start: docker run --rm -v scalegate-data:/data scalegate keys create NAME --scope admin
# Runs it: docker run -p 8080:8080 -v scalegate-data:/data scalegate
# Or, with an admin key from elsewhere: docker run -p 8080:8080 -v scalegate-data:/data -e SCALEGATE_ADMIN_KEY scalegate

# The slim image has the gcc that compiles the bundled SQLite and parts of ring. Both stages are of the same Debian
# release, so that the binary meets the glibc it was linked against.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies, in a layer of their own: built again only when the manifest or the lock file changes. A layer works
# with every builder and can be pulled from a registry as a cache; a BuildKit cache mount stays on the machine it was
# filled on, and other builders do not know it.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
# Cargo takes a file for changed only if it is newer than the last build, which the real sources need not be. Without
# what was built from the stand-ins there is nothing to compare them with.
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin scalegate \
    && cargo clean --release --locked --package scalegate \
    && rm -r src

COPY openapi openapi
COPY src src
RUN cargo build --release --locked --bin scalegate

FROM debian:bookworm-slim
# A named volume takes over owner and mode of the directory it is mounted on. A directory of the host does not: it must
# belong to 65532.
RUN install --directory --owner=65532 --group=65532 --mode=0700 /data
COPY --from=build /build/target/release/scalegate /usr/local/bin/

# In a container, 127.0.0.1 is nobody but the container itself. On all addresses the gateway wants an API key.
ENV SCALEGATE_LISTEN=0.0.0.0:8080 \
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
