# bash: tools for text. Output that depends on the tools' version is avoided.
seq 1 5000 | sort -r > nums
sort -n -S 64K --batch-size=3 -T . nums | md5sum
split -l 1000 -d nums part.
ls part.*
cat part.* | cmp - nums && echo joined
split -n 7 nums chunk.
cat chunk.* | cmp - nums && echo joined again
seq 1 100 | sort > a
seq 50 150 | sort > b
comm -12 a b | wc -l
join a b | tail -2
tr a-y b-z <<< hello
tr -s ' ' '\n' <<< 'x y   z'
cut -d: -f1,3- --output-delimiter=/ <<< a:b:c:d
paste -s -d+ <(seq 5)
printf 'abc\0\1\377' | od -An -tx1z
seq 3 | od -A d -t d1
fold -s -w 10 <<< 'the quick brown fox jumps'
numfmt --to=iec 1048576 123456
tac a | head -2
nl a | head -2
seq 20 | csplit -s - 5 '/15/'
wc -l xx0*
factor 1234567890 97
expand <<< $'a\tb'
tsort <<< 'a b b c'
base64 <<< hi
for sum in md5sum sha1sum sha256sum sha512sum b2sum cksum sum; do $sum < nums; done
printf 'foo\nbar\nfoobar\n' > g
grep -n foo g
grep -o 'o*b' g
grep -A1 -B1 bar g
grep -P '\bbar\b' g
sed -E 's/(.)(.)/\2\1/' g
sed -i.bak '1d' g
cat g g.bak
sed 'N;s/\n/+/' g.bak
awk 'BEGIN { for (i = 0; i < 5; i++) printf "%d ", i * i; print "" } { n += length($0) } END { print NR, n }' g.bak
awk 'BEGIN { "echo sub" | getline x; print x; print "z" | "cat"; close("cat"); system("echo sys"); exit 3 }'
echo $?
diff <(seq 5) <(seq 2 6)
seq 20000 | gzip -9 | gzip -dc | md5sum
