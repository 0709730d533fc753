# Runs the tests of busybox's shell (all folders, or those named) and prints a line for each: @pass, @fail or @skip.
# What a failed one printed otherwise than it should goes to the error output.
mkdir -p /tmp/b && cp -r /suite/shell/ash_test /tmp/b/ && cp /suite/bin/* /tmp/b/ash_test/ || exit 1
cd /tmp/b/ash_test && cp /suite/config .config && ln -s /bin/busybox ash || exit 1
./run-all "$@" 2>&1 </dev/null | while IFS= read -r line; do
    name=${line%%:*}
    case $line in
        *:\ ok) echo "@pass $name" ;;
        *:\ skip*) echo "@skip $name not built in" ;;
        *:\ fail*)
            echo "@fail $name"
            cat "$(echo "${name%/*}" | tr / '#')-${name##*/}.fail" >&2
            ;;
    esac
done
echo "@done"
