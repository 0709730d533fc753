# Runs bash's own tests (all, or those named) and prints a line for each: @pass or @fail.
cd /suite/tests || exit 1
PATH=/suite/bin:.:$PATH THIS_SH=/bin/bash BUILD_DIR=/suite TMPDIR=/tmp BASH_TSTOUT=/tmp/out
export PATH THIS_SH BUILD_DIR TMPDIR BASH_TSTOUT
unset LC_ALL LANG
export LC_ALL=C
[ $# -gt 0 ] || set -- run-*
for run; do
    name=${run#run-}
    case $name in all | minimal | gprof) continue ;; esac
    if timeout 120 sh "./run-$name" >/tmp/difference 2>&1 </dev/null; then
        echo "@pass $name"
    else
        echo "@fail $name $(grep -a '^[<>]' /tmp/difference | head -n 2 | tr '\n' ' ' | cut -c 1-200)"
    fi
done
echo "@done"
