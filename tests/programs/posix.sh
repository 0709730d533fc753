# dash: what every shell does.
trap 'echo exit $?' EXIT
trap 'echo usr1' USR1
kill -USR1 $$
sleep 5 &
kill $!
wait $!
echo $?
(exit 9) &
wait $!
echo $?
cat <<A | tr a-z A-Z
here $((6*7))
A
seq 10 | while read -r i; do n=$i; done
echo "${n:-unset}"
set -- a b c
shift
echo $# "$@"
f() { echo in f "$1"; return 3; }
f 1 || echo $?
ulimit -n 20
ulimit -n
kill -0 $$ && echo alive
sh -c 'exit 300'
echo $?
(trap 'echo term; exit 1' TERM; sleep 0.3 & wait) &
sleep 0.1
kill $!
wait $!
echo $?
unset x
echo "${x-d}" "${x:=e}" "$x" "${x#e}"
test -t 0
echo $?
printf '%s %d %o %b\n' a 10 8 'x\ty'
echo `echo nested \`echo deep\``
(sleep 20 &)
exit 6
