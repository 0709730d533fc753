#!/bin/sh
# Starts redis-server for its options and configuration files, as user redis; anything else as it is.
set -e

case ${1-} in
-* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
    # Data of another container, or of the host, has to be the server's own.
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi

# Files are for the server alone, unless somebody chose otherwise.
[ "$(umask)" != 0022 ] || umask 0077

# Inside a container every client comes over the network, so protected mode is off by default: it would refuse them all.
# Arguments and the configuration file decide otherwise.
if [ "${1-}" = redis-server ]; then
    chosen=
    for argument; do
        case $argument in
        --protected-mode* | --help | -h | --version | -v | --test-memory | --check-system) chosen=yes ;;
        *.conf) ! grep -qis '^[[:space:]]*protected-mode[[:space:]]' "$argument" || chosen=yes ;;
        esac
    done
    [ -n "$chosen" ] || set -- "$@" --protected-mode no
fi

exec "$@"
