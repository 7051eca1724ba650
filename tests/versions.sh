#!/usr/bin/env bash
# Run the fast tests and all notebooks with the oldest packages that pyproject.toml
# allows, or with the newest, in an environment of their own:
#   PYTHON=python3.10 tests/versions.sh oldest
#   tests/versions.sh newest
set -eu
cd "$(dirname "$0")/.."
env=build/$1
"${PYTHON:-python3}" -m venv --clear "$env"
sed '/^-r/d; s/^torchvision.*/torchvision/' requirements-dev.txt > "$env/tools.txt"
touch "$env/versions.txt"
if [ "$1" = oldest ]; then
	grep -o '"[a-z][a-z-]*>=[0-9.]*"' pyproject.toml | tr -d '"' | sed 's/>=/==/' \
		> "$env/versions.txt"
fi
"$env/bin/pip" install -c "$env/versions.txt" -r "$env/tools.txt" -e ".[studio]"
make -o .venv/dev test-fast BIN="$env/bin"
