#!/usr/bin/env bash
# Installs what walcast needs beside git, make and a Rust toolchain.
#
#   scripts/setup.sh [demo|test|test-long|lint|bench|fuzz]      (default: demo)
#
# On Debian and Ubuntu missing packages come from apt-get; on other systems the script names them, with
# the command that installs them, and exits with 1. When everything is there it says so within a second.
# It never starts, changes or removes a Postgres cluster. bash 3.2 (macOS) is enough to run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OLDEST_POSTGRES=14
readonly OLDEST_NODE=18
readonly VENV=tests/clients/.venv

mode=${1:-demo}
case "$mode" in
demo | test | test-long | lint | bench | fuzz) ;;
*)
  echo "usage: scripts/setup.sh [demo|test|test-long|lint|bench|fuzz]" >&2
  exit 2
  ;;
esac

export PATH="$PATH:${HOME:-/root}/.cargo/bin"
log=$(mktemp "${TMPDIR:-/tmp}/walcast-setup.XXXXXX")
dropin=/etc/postgresql-common/createcluster.d/walcast-setup.conf
dropin_written=
sudo=

cleanup() {
  [ -z "$dropin_written" ] || $sudo rm -f "$dropin"
  rm -f "$log"
}
trap cleanup EXIT

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# step TEXT COMMAND... runs the command with its output in the log, which is shown only when it fails.
step() {
  local text=$1 started=$SECONDS
  shift
  printf 'setup: %s ... ' "$text"
  if "$@" >"$log" 2>&1 </dev/null; then
    printf 'done (%d s)\n' $((SECONDS - started))
  else
    printf 'failed\n'
    tail -n 40 "$log" >&2
    fail "\"$text\" failed, the end of its output is above"
  fi
}

# ---- what is there -------------------------------------------------------------------------------

# Where `walcast demo` looks: PGBIN alone if it is set, else PATH, then the usual places, highest version first.
# A pattern without a match stays as it is written, and then names no program.
postgres_directories() {
  if [ -n "${PGBIN:-}" ]; then
    echo "$PGBIN"
  else
    tr : '\n' <<<"$PATH"
    printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin \
      /usr/local/opt/postgresql*/bin /Applications/Postgres.app/Contents/Versions/*/bin | sort -r
  fi
}

# Prints the major version of a server that is new enough, or else of the last one found that is not.
postgres_major() {
  local directory major found=
  while IFS= read -r directory; do
    if [ ! -x "$directory/initdb" ] || [ ! -x "$directory/postgres" ]; then continue; fi
    major=$("$directory/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    found=$major
    [ "$major" -lt "$OLDEST_POSTGRES" ] || break
  done <<<"$(postgres_directories)"
  echo "$found"
}

node_major() { if have node; then node --version | sed -E 's/^v([0-9]+).*/\1/'; fi; }

browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if have "$name"; then
      command -v "$name"
      return
    fi
  done
  local mac="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
  if [ -x "$mac" ]; then echo "$mac"; fi
}

python_makes_venvs() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

check_rust() {
  have cargo || fail "cargo is missing: install a Rust toolchain with rustup, then run this again"
  local wanted here
  wanted=$(sed -nE 's/^rust-version *= *"([0-9.]+)".*/\1/p' Cargo.toml)
  here=$(cargo --version | sed -E 's/^cargo ([0-9]+\.[0-9]+).*/\1/')
  if [ "$(printf '%s\n%s\n' "$wanted" "$here" | sort -t. -k1,1n -k2,2n | head -n 1)" != "$wanted" ]; then
    fail "Rust $here is too old, $wanted or newer is needed: rustup update stable"
  fi
}

# rustup's minimal profile leaves these two out.
check_rust_component() {
  cargo "$1" --version >/dev/null 2>&1 && return
  have rustup || fail "cargo $1 is missing: install $2 of your Rust toolchain"
  step "rustup component add $2" rustup component add "$2"
}

check_cargo_command() {
  cargo "$1" --version >/dev/null 2>&1 && return
  say "cargo $1 is missing: cargo install builds it once, which takes some minutes"
  step "cargo install --locked cargo-$1" cargo install --locked "cargo-$1"
}

# ---- system packages -----------------------------------------------------------------------------

missing=() # Debian's names

check_system() {
  # The linker of every Rust build; libFuzzer is C++.
  if ! have cc || { [ "$mode" = fuzz ] && ! have c++; }; then missing+=(build-essential); fi
  [ "$mode" != lint ] && [ "$mode" != fuzz ] || return 0
  local major
  major=$(postgres_major)
  [ "${major:-0}" -ge "$OLDEST_POSTGRES" ] || missing+=(postgresql)
  major=$(node_major)
  [ "${major:-0}" -ge "$OLDEST_NODE" ] || missing+=(nodejs)
  have npm || missing+=(npm) # the demo's subscriber installs its Phoenix client with it
  [ "$mode" = test ] || [ "$mode" = test-long ] || return 0
  have curl || missing+=(curl) # one of the examples
  have psql || missing+=(postgresql-client) # scripts/simulate_*.sh; Homebrew's needs brew link --force
  have faketime || missing+=(faketime) # clocks that jump
  [ "$(uname -s)" != Linux ] || have ip || missing+=(iproute2) # networks that lose packets
  [ -n "${CHROMIUM:-}" ] || [ -n "$(browser)" ] || missing+=(chromium)
  [ -x "$VENV/bin/python" ] || python_makes_venvs || missing+=(python3 python3-venv)
}

become_root() {
  [ "$(id -u)" -ne 0 ] || return 0
  have sudo || fail "missing: ${missing[*]}" "run scripts/setup.sh $mode as root, or install sudo"
  sudo=sudo
  # Asked for here, so that the question does not land in the middle of a progress line.
  sudo -v || fail "missing: ${missing[*]}" "sudo refused; as root: scripts/setup.sh $mode"
}

apt() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@"; }

# One broken third-party source must not stop the rest; a package that is really missing fails below.
refresh_lists() { apt update || true; }

# Debian's package creates and starts a cluster at its first installation. Nobody asked for that one, so it is
# switched off for the length of this installation, unless the administrator has decided already.
without_a_first_cluster() {
  local decided=/etc/postgresql-common/createcluster.conf
  if ! grep -qs '^[[:space:]]*create_main_cluster' "$decided" && [ ! -e "$dropin" ]; then
    $sudo mkdir -p "$(dirname "$dropin")"
    echo 'create_main_cluster = false' | $sudo tee "$dropin" >/dev/null
    dropin_written=yes
  fi
}

install_with_apt() {
  become_root
  step "refreshing the package lists" refresh_lists
  local package packages=()
  for package in "${missing[@]}"; do
    case "$package" in
    postgresql) without_a_first_cluster ;;
    # Ubuntu knows the browser by its older name only.
    chromium)
      case "$(apt-cache policy chromium)" in
      *"Candidate: "[0-9]*) ;;
      *) package=chromium-browser ;;
      esac
      ;;
    esac
    packages+=("$package")
  done
  for package in "${packages[@]}"; do
    step "apt-get install $package" apt install -y --no-install-recommends "$package"
  done
}

explain_elsewhere() {
  local line="install them with your system's packages"
  if have brew; then
    line="brew install postgresql@17 node; for the tests also: brew install libfaketime python; brew install --cask google-chrome"
  elif have dnf; then
    line="dnf install gcc postgresql-server postgresql-contrib nodejs npm; for the tests also: chromium iproute libfaketime python3"
  elif have pacman; then
    line="pacman -S base-devel postgresql nodejs npm; for the tests also: chromium iproute2 libfaketime python"
  elif have apk; then
    line="apk add build-base postgresql17 postgresql17-contrib nodejs npm; for the tests also: chromium iproute2 libfaketime python3"
  fi
  fail "missing (Debian's names): ${missing[*]}" "$line" \
    "Postgres $OLDEST_POSTGRES or newer, Node.js $OLDEST_NODE or newer; PGBIN and CHROMIUM may name what is elsewhere"
}

ensure_system() {
  check_system
  [ "${#missing[@]}" -gt 0 ] || return 0
  if ! have apt-get; then explain_elsewhere; fi
  install_with_apt
  missing=()
  check_system
  [ "${#missing[@]}" -eq 0 ] || fail \
    "this system's packages are too old or incomplete, still missing: ${missing[*]}" \
    "needed: Postgres $OLDEST_POSTGRES or newer (found: $(postgres_major)), Node.js $OLDEST_NODE or newer (found: $(node_major))"
}

# ---- what the tests bring ------------------------------------------------------------------------

# A folder is up to date when its stamp equals the files that decide about its content. The stamp lies inside
# what it vouches for, so deleting the folder deletes the stamp.
stale() {
  local stamp=$1
  shift
  ! cat "$@" | cmp -s - "$stamp"
}

ensure_npm() {
  local folder=$1 stamp=$1/node_modules/.walcast-setup
  stale "$stamp" "$folder/package-lock.json" || return 0
  step "npm ci in $folder" npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund
  cat "$folder/package-lock.json" >"$stamp"
}

# npm archives hold no symbolic links, and the libraries of these packages need theirs.
ensure_postgres_majors() {
  local stamp=$1/node_modules/.walcast-postgres
  local files=("$1/package-lock.json" scripts/hydrate-postgres.sh) package
  ensure_npm "$1"
  stale "$stamp" "${files[@]}" || return 0
  # They are optional to npm, being for one platform only, so it passes over one that it could not fetch.
  while IFS= read -r package; do
    [ ! -d "$1/node_modules/$package" ] || continue
    [ ! -x "/usr/lib/postgresql/${package#pg}/bin/postgres" ] || continue
    rm -rf "$1/node_modules"
    fail "Postgres ${package#pg} is missing: on Linux x86_64 npm did not bring it, run scripts/setup.sh $mode again;" \
      "elsewhere ($(uname -sm)) it has to be in /usr/lib/postgresql/${package#pg}"
  done < <(sed -nE 's/^ *"(pg[0-9]+)":.*/\1/p' "$1/package.json")
  step "preparing the Postgres versions in $1" sh scripts/hydrate-postgres.sh
  cat "${files[@]}" >"$stamp"
}

ensure_python() {
  local wanted=tests/clients/requirements.txt
  if [ -x "$VENV/bin/python" ] && ! stale "$VENV/.walcast-setup" "$wanted"; then return 0; fi
  rm -rf "$VENV"
  step "making a Python environment in $VENV" python3 -m venv "$VENV"
  step "pip install -r $wanted" "$VENV/bin/python" -m pip install --disable-pip-version-check -r "$wanted"
  cat "$wanted" >"$VENV/.walcast-setup"
}

check_rust
ensure_system
case "$mode" in
test | test-long)
  check_rust_component fmt rustfmt
  check_rust_component clippy clippy
  ensure_postgres_majors tests
  [ "$mode" = test ] || ensure_postgres_majors tests/long
  ensure_npm tests/clients
  ensure_npm tests/browser
  ensure_npm clients/js
  ensure_python
  ;;
lint)
  check_rust_component fmt rustfmt
  check_rust_component clippy clippy
  check_cargo_command deny
  ;;
bench)
  ensure_npm benches/peers/graphql-yoga
  ensure_npm benches/peers/graphql-yoga-live
  ensure_npm benches/peers/socket.io
  ensure_npm benches/peers/ws
  ;;
fuzz) check_cargo_command fuzz ;;
esac
say "everything for $mode is there"
