# Runs bash's own tests (all, or those named) and prints a line for each: @pass or @fail.
# They want an ordinary user, a terminal of their own, and locales: those that the tests' files mention.
if [ "$(id -u)" = 0 ]; then
    files=$(for run in "${@-run-}"; do name=${run#run-} && echo "/suite/tests/${name%%-*}"*; done)
    for locale in en_US.UTF-8 de_DE.UTF-8 fr_FR.ISO8859-1 ja_JP.SHIFT_JIS ru_RU.CP1251 zh_HK.BIG5-HKSCS zh_TW.BIG5; do
        # Making one takes seconds. A codeset is written in several ways.
        grep -qsF "${locale%.*}." $files && localedef -c -i "${locale%.*}" -f "${locale#*.}" "$locale" 2>/dev/null
    done
    cp -r /suite /tmp/suite && chown -R 1000:1000 /tmp/suite || exit 1
    exec setpriv --reuid 1000 --regid 1000 --clear-groups bash "$0" "$@"
fi
cd /tmp/suite/tests || exit 1
unset LC_ALL LANG
export PATH=/tmp/suite/bin:.:$PATH THIS_SH=/bin/bash BUILD_DIR=/tmp/suite TMPDIR=/tmp BASH_TSTOUT=/tmp/out HOME=/home
# The terminal's input: nothing, and no end of it.
mkfifo /tmp/input || exit 1
[ $# -gt 0 ] || set -- run-*
for run; do
    name=${run#run-}
    case $name in all | minimal | gprof) continue ;; esac
    if script -qec "timeout --foreground 120 sh ./run-$name >/tmp/difference 2>&1" /dev/null 0<>/tmp/input; then
        echo "@pass $name"
    else
        echo "@fail $name $(grep -a '^[<>]' /tmp/difference | head -n 2 | tr '\n' ' ' | cut -c 1-200)"
        cat /tmp/difference >&2
    fi
done
echo "@done"
