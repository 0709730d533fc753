# bash: tools for files and folders.
umask 022
touch -d '2020-01-02 03:04:05 UTC' f
stat -c '%n %s %a %F %Y %h' f
touch -r f g
touch -a -d @5 g
stat -c '%X %Y' g
mkdir -p d/e/f
ln -s ../f d/link
ln f d/hard
cp -a d d2
find d2 | sort
stat -c '%h %N' d2/link d2/hard
mv d2 d3
mv -n f d3
mv d3/f .
install -d -m 750 i/j
install -m 4755 f i/j/k
stat -c '%a' i/j i/j/k
realpath --relative-to=/usr/bin /usr/lib
(cd d; readlink -f link | grep -c '/f$'; realpath -m no/such/../x | grep -c '/d/no/x$')
timeout 0.2 sleep 5
echo $?
timeout --preserve-status 0.2 sleep 3
echo $?
nice -n 5 nice
env -i A=1 env
date -u -d '@1700000000' '+%F %T %j %U %a'
truncate -s 1M sparse
stat -c %s sparse
dd if=/dev/zero of=z bs=4k count=3 seek=2 2>/dev/null
stat -c %s z
chmod -R u=rwX,go= d
stat -c '%a' d d/e d/hard
chmod +t,g+s d
stat -c %a d
mkfifo p
(echo through > p &)
cat p
stat -c %F p
sync
test -f f && test ! -d f && test -p p && test -L d/link && [ -x /bin/sh ] && echo tests
rmdir nope 2>&1
ls nope 2>&1
cp nope x 2>&1
mkdir f 2>&1
rmdir i 2>&1
mkdir many && cd many || exit 1
for i in $(seq 1 200); do echo $i > f$i; done
chmod 600 f2
: > empty
find . -type f -perm 600
find . -name 'f1?' -exec echo {} + | tr ' ' '\n' | sort
find . -name 'f2*' -delete
find . -empty
find . -name 'f3*' -print0 | sort -z | xargs -0 -n 5 -P 4 sh -c 'echo $#' _ | sort | uniq -c
seq 100 | xargs -P 8 -I{} sh -c 'echo {}' | sort -n | md5sum
xargs -n1 sh -c 'exit 255' <<< 'a b' 2>/dev/null
echo $?
cd ..
mkdir -p tree/sub
echo hello > tree/a
ln tree/a tree/b
ln -s a tree/c
truncate -s 10M tree/sparse
printf x | dd of=tree/sparse bs=1 seek=5000000 conv=notrunc 2>/dev/null
mkfifo tree/p
touch -d @1000000000 tree/a tree/sub
tar --sort=name --owner=5 --group=6 -cf t.tar tree
tar tvf t.tar --utc --numeric-owner | awk '{ print $1, $2, $3, NF }'
mkdir o
tar -C o --no-same-owner -xpf t.tar
(cd o/tree && stat -c '%n %a %F' * && stat -c %Y a sub)
cmp tree/sparse o/tree/sparse && echo same
tar -cSf s.tar tree
[ "$(stat -c %s s.tar)" -lt 200000 ] && echo small
tar czf t.tgz tree
tar tzf t.tgz | sort
mkdir deep
cd deep || exit 1
for i in $(seq 1 200); do mkdir dddddddddd && cd dddddddddd; done
echo x > f
cat f
cd ../..
find . -name f | wc -l
