# Runs perl's core tests (files of the folder t that are named) and prints a line for each: @pass, @fail or @skip.
use strict;
use warnings;

chdir '/suite/t' or die "/suite/t: $!";
$ENV{PERL_CORE} = 1;
$| = 1;
for my $file (map { glob } @ARGV) {
    my ($plan, $ran, $skipped, @failed) = (undef, 0);
    my $pid = open(my $tap, '-|') // die "fork: $!";
    if (!$pid) {
        open(STDERR, '>', '/dev/null');
        open(STDIN, '<', '/dev/null');
        exec('timeout', '180', $^X, '-I../lib', $file) or exit 127;
    }
    while (my $line = <$tap>) {
        if ($line =~ /^1\.\.(\d+)(?:\s*# ?skip(?:ped)?:?\s*(.*))?/i) {
            ($plan, $skipped) = ($1, $1 == 0 ? $2 // '' : undef);
        } elsif ($line =~ /^(not )?ok\b\s*(\d*)[^#]*(#\s*(?:TODO|skip))?/i) {
            $ran++;
            push @failed, $2 || $ran if $1 && !$3;
        }
    }
    close($tap);
    my $status = $?;
    if (defined $skipped) {
        print "\@skip $file $skipped\n";
    } elsif (@failed) {
        print "\@fail $file tests @failed[0 .. ($#failed < 9 ? $#failed : 9)] of ", $plan // $ran, "\n";
    } elsif ($status || !defined $plan || $plan != $ran) {
        print "\@fail $file ended with $status after $ran of ", $plan // 'an unknown number', "\n";
    } else {
        print "\@pass $file\n";
    }
}
print "\@done\n";
