#!/bin/sh
# Before nginx starts, the scripts of /docker-entrypoint.d have their turn, in the order of their names.
set -e

say() {
    [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "docker-entrypoint: $*"
}

case ${1-} in
nginx | nginx-debug)
    list=$(find /docker-entrypoint.d/ -mindepth 1 -maxdepth 1 -follow -type f | sort -V)
    [ -n "$list" ] || say "/docker-entrypoint.d is empty: nothing to configure"
    newline='
'
    IFS=$newline
    for script in $list; do
        unset IFS
        case $script in
        *.envsh)
            # Read by this shell, so that what it exports is in nginx's environment.
            if [ -x "$script" ]; then
                say "sourcing $script"
                . "$script"
            else
                say "$script is left out: it is not executable"
            fi
            ;;
        *.sh)
            if [ -x "$script" ]; then
                say "running $script"
                "$script"
            else
                say "$script is left out: it is not executable"
            fi
            ;;
        *) say "$script is left out: it is neither .sh nor .envsh" ;;
        esac
    done
    say "configuration is complete, ready to start"
    ;;
esac

exec "$@"
