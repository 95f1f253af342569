#!/usr/bin/env bash
# The image's health check: is /health answered with 200? Through bash's own /dev/tcp, because a slim image has
# neither curl nor wget, and adding one would add its libraries too.
set -euo pipefail

# Where the server listens: the port is what follows the last colon, in an IPv6 address too.
port=${WALCAST__LISTEN##*:}

exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
