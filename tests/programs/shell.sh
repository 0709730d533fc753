# bash: jobs, traps, redirections. Process numbers are not printed.
trap 'echo exit-trap $?' EXIT
trap 'echo usr1' USR1
kill -USR1 $$
trap 'echo int' INT
kill -INT $$
trap - INT
(trap 'echo sub' EXIT; exit 4)
echo $?
trap '' TERM
kill $$
echo survived
trap - TERM
cat <<A; cat <<-'B'
$((1+2)) `echo hi`
A
	no $expansion
	B
diff <(echo a) <(echo b)
coproc C { while read -r l; do echo "got $l"; done; }
echo one >&"${C[1]}"
read -r x <&"${C[0]}"
echo "$x"
eval "exec ${C[1]}>&-"
wait
echo $?
read -t 0.1 x < <(sleep 1)
[ $? -gt 128 ] && echo timed out
read -n 3 x <<< abcdef
echo "$x"
mapfile -t lines < <(seq 3)
echo "${lines[2]}"
# In a shell of its own, which has no other children.
(sleep 0.2 & (exit 7) & wait -n; echo $?; wait)
sleep 5 &
# Until it is the program: bash itself would run the trap for EXIT.
sleep 0.2
kill $!
wait $!
echo $?
sleep 5 &
kill -STOP $!
kill -CONT $!
kill -9 $!
wait $! 2>/dev/null
echo $?
ulimit -n 50
ulimit -n
ulimit -c 0
mkfifo ff
exec 3<>ff
echo via >&3
read -r x <&3
echo "$x"
exec 3>&-
exec 4>out 5<out
echo data >&4
cat <&5
exec 4>&- 5<&-
yes | head -1
echo "${PIPESTATUS[@]}"
(set -o pipefail; yes | head -1 >/dev/null; echo $?)
seq 100000 | head -2
nosuchcmd 2>/dev/null
echo $?
/etc/passwd 2>/dev/null
echo $?
(trap '' PIPE; exec yes 2>/dev/null) | head -1
for n in PIPE KILL ALRM; do
    bash -c "kill -$n \$\$" 2>/dev/null
    echo $?
done 2>/dev/null
umask 027
: > um
stat -c %a um
trap 'echo chld' CHLD
true &
wait
trap - CHLD
trap 'echo alarmed' ALRM
(sleep 0.1; kill -ALRM $$) &
wait $!
echo $?
wait
for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2 & done
wait
(for i in 1 2 3; do (for j in 1 2 3; do (exit $j) & done; wait; echo $i) & done; wait) | sort
for i in $(seq 1 50); do ( : ); /bin/true; done
dd if=/dev/zero bs=1M count=5 2>/dev/null | cat | cat | wc -c
exit 3
