# Runs busybox's own tests (all, or those of the applets named) and prints a line for each: @pass, @fail or @skip.
# What else the tests print goes to the error output.
export LANG=C.UTF-8 SHELL=/bin/sh
mkdir -p /tmp/b && cp -r /suite/testsuite /tmp/b/ && cp /suite/config /tmp/b/.config && ln -s /bin/busybox /tmp/b/ || exit 1
cd /tmp/b/testsuite || exit 1
./runtest "$@" 2>&1 </dev/null | while IFS= read -r line; do
    kind=${line%%: *}
    name=$(printf %s "${line#*: }" | tr ' ' _)
    case $kind in
        PASS) echo "@pass $name" ;;
        FAIL) echo "@fail $name" ;;
        SKIPPED | UNTESTED) echo "@skip $name not built in" ;;
        *) printf '%s\n' "$line" >&2 ;;
    esac
done
echo "@done"
