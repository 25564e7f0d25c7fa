#!/usr/bin/env bash
# Writes fixtures/hub: an authority and a server of it for `localhost` and `hub.invalid`, for tests of https. Made with OpenSSL 3.0.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p fixtures/hub
cd fixtures/hub
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
days=36500

key "$work/authority.key"
openssl req -x509 -new -key "$work/authority.key" -days $days -subj "/CN=Authority of tests" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out authority.pem

key server.key.pem
openssl req -new -key server.key.pem -subj "/CN=localhost" -out "$work/server.csr"
printf 'subjectAltName=DNS:localhost,DNS:hub.invalid\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >"$work/extensions"
openssl x509 -req -in "$work/server.csr" -CA authority.pem -CAkey "$work/authority.key" -CAcreateserial -days $days \
    -extfile "$work/extensions" -out server.pem 2>/dev/null
rm -f authority.srl
