# Runs perl's core tests (files of the folder t that are named) and prints a line for each: @pass, @fail or @skip.
# They want the tree of a built source, and an ordinary user.
use strict;
use warnings;

my $tree = '/tmp/perl';
if (!$>) {
    my @installed = grep { m{/perl/[0-9.]+$} && -d } @INC;
    system('mkdir', $tree) || system('cp', '-r', (map { "/suite/$_" } qw(t lib regen MANIFEST)), $tree) && die 'copying the tests';
    system('cp', '-rL', "$_/.", "$tree/lib") && die "copying $_" for @installed;
    symlink('/usr/bin/perl', "$tree/t/perl") or die "perl: $!";
    symlink('t/perl', "$tree/perl") or die "perl: $!";
    system('chown', '-R', '1000:1000', $tree) && die 'giving the tests away';
    exec('setpriv', '--reuid', '1000', '--regid', '1000', '--clear-groups', $^X, $0, @ARGV) or die "setpriv: $!";
}
chdir "$tree/t" or die "$tree/t: $!";
delete @ENV{qw(PERL5LIB PERLLIB PERL5OPT LANG LC_ALL)};
$ENV{PERL_CORE} = 1;
$| = 1;
for my $file (map { glob } @ARGV) {
    my ($plan, $ran, $skipped, @failed) = (undef, 0);
    my $pid = open(my $tap, '-|') // die "fork: $!";
    if (!$pid) {
        open(STDIN, '<', '/dev/null');
        # The first line of some asks for taint mode, which has to be on the command line then.
        open(my $script, '<', $file) or die "$file: $!";
        my @switches = <$script> =~ /^#!.*perl.*\s-\w*([tT])/ ? "-$1" : ();
        exec('timeout', '180', './perl', '-I../lib', @switches, $file) or exit 127;
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
