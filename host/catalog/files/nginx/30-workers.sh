#!/bin/sh
# With NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE set: as many workers as the container may use processors.
set -e
[ -n "${NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE:-}" ] || exit 0
file=/etc/nginx/nginx.conf
touch "$file" 2>/dev/null || { echo "30-tune-worker-processes: $file cannot be written"; exit 0; }
count=$(nproc)
quota=/sys/fs/cgroup/cpu.max
if [ -r "$quota" ]; then
    allowed=$(awk '$1 != "max" && $2 > 0 { n = int(($1 + $2 - 1) / $2); print (n < 1 ? 1 : n) }' "$quota")
    [ -z "$allowed" ] || [ "$allowed" -ge "$count" ] || count=$allowed
fi
text=$(sed "s/^worker_processes .*;/worker_processes $count;/" "$file")
printf '%s\n' "$text" >"$file"
