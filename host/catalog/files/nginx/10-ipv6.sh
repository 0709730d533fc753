#!/bin/sh
# Lets the default server listen on IPv6 too, where there is IPv6 and the file is still as the image had it.
set -e
file=/etc/nginx/conf.d/default.conf
say() {
    [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "10-listen-on-ipv6-by-default: $*"
}
[ -e /proc/net/if_inet6 ] || { say "no IPv6 here"; exit 0; }
[ -f "$file" ] || { say "there is no $file"; exit 0; }
# A file that is mounted read-only stays as it is.
touch "$file" 2>/dev/null || { say "$file cannot be written"; exit 0; }
grep -q 'listen  *\[::\]:80;' "$file" && { say "IPv6 is on already"; exit 0; }
sum=$(md5sum <"$file")
[ "$sum" = "$(cat /usr/share/nginx/default.conf.md5)" ] || { say "$file was changed: left alone"; exit 0; }
# Written over, not replaced: the file may be a mount.
text=$(sed 's/^\( *\)listen  *80;/&\n\1listen  [::]:80;/' "$file")
printf '%s\n' "$text" >"$file"
say "IPv6 is on in $file"
