# walcast in a container: built from this folder, run as an unprivileged user.
#
#   docker build -t walcast .
#   docker run --rm -p 127.0.0.1:4000:4000 -e DATABASE_URL=postgres://... -e WALCAST__AUTH__MODE=none walcast

# Tests and benchmarks are not in the build context, and cargo refuses a manifest that names missing ones. In a
# stage of its own, so that a new benchmark or lint, which changes nothing here, does not build the dependencies again.
FROM debian:trixie-slim AS manifest
COPY Cargo.toml /full.toml
RUN awk '/^\[/ { skip = /^\[(lints|\[(test|bench|example)\])/ } !skip' /full.toml > /Cargo.toml


FROM rust:1-slim-trixie AS build
WORKDIR /build
COPY Cargo.lock ./
COPY --from=manifest /Cargo.toml ./

# The dependencies first, against an empty program: this layer lasts until Cargo.toml or Cargo.lock changes.
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked \
    && rm -r src

COPY src src
COPY sql sql
# cargo compares times, and a copied file may well be older than the empty program's build.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked


FROM debian:trixie-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin walcast
COPY --from=build /build/target/release/walcast /usr/local/bin/walcast
COPY docker/health.sh /usr/local/bin/walcast-health

# By number, so that an orchestrator can see without looking inside that this is not root.
USER 10001:10001

# Loopback would be the container's own. walcast refuses this address until WALCAST__AUTH__MODE is set: whoever
# starts the image has to say who may connect.
ENV WALCAST__LISTEN=0.0.0.0:4000
EXPOSE 4000

HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["walcast-health"]

# walcast answers SIGTERM as process 1: it drains its sockets and acknowledges what it has sent.
ENTRYPOINT ["walcast"]
CMD ["serve"]
