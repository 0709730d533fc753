#!/bin/sh
# What is no command of this system is for node: its options, and scripts that are not programs.
set -e
first=${1-}
case $first in
-* | '') set -- node "$@" ;;
*)
    if ! command -v "$first" >/dev/null || { [ -f "$first" ] && [ ! -x "$first" ]; }; then
        set -- node "$@"
    fi
    ;;
esac
exec "$@"
