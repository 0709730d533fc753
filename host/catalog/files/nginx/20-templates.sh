#!/bin/sh
# Templates of /etc/nginx/templates become configuration, with ${NAME} of the environment filled in.
set -e
from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
stream_suffix=${NGINX_ENVSUBST_STREAM_TEMPLATE_SUFFIX:-.stream-template}
stream_to=${NGINX_ENVSUBST_STREAM_OUTPUT_DIR:-/etc/nginx/stream-conf.d}
filter=${NGINX_ENVSUBST_FILTER:-}

say() {
    [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "20-envsubst-on-templates: $*"
}

# The variables that are replaced: `$` alone is nginx's own, so only names that are set.
names=$(awk -v filter="$filter" 'BEGIN { for (name in ENVIRON) if (name ~ filter && name ~ /^[A-Za-z_][A-Za-z0-9_]*$/) printf "${%s} ", name }')

fill() { # suffix, target folder
    find "$from" -follow -type f -name "*$1" | while IFS= read -r template; do
        relative=${template#"$from"/}
        output=$2/${relative%"$1"}
        mkdir -p "$(dirname "$output")"
        say "$template to $output"
        envsubst "$names" <"$template" >"$output"
    done
}

[ -d "$from" ] || exit 0
[ -w "$to" ] || { say "$to cannot be written: templates are left out"; exit 0; }
fill "$suffix" "$to"
if [ -n "$(find "$from" -name "*$stream_suffix" -print -quit)" ]; then
    mkdir -p "$stream_to"
    fill "$stream_suffix" "$stream_to"
    if ! grep -qs '^[[:space:]]*stream[[:space:]]*{' /etc/nginx/nginx.conf; then
        printf 'stream {\n    include %s/*.conf;\n}\n' "$stream_to" >>/etc/nginx/nginx.conf
    fi
fi
