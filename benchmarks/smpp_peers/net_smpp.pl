#!/usr/bin/perl
# Net::SMPP as a sender:  perl net_smpp.pl PORT WINDOW SECONDS TEXT
# Sends for so long with so many unanswered at most, waits for the last answer, and prints one line of JSON.
use strict;
use warnings;

use Net::SMPP;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

my ($port, $window, $seconds, $text) = @ARGV;
my ($smpp, $answer) = Net::SMPP->new_transceiver('127.0.0.1', port => $port, system_id => 'user', password => 'secret');
die "bind" unless $smpp && $answer->{status} == 0;

my ($flying, $answered, $failed) = (0, 0, 0);
my $cpu = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
my $begun = clock_gettime(CLOCK_MONOTONIC);
my $until = $begun + $seconds;
while (1) {
    while ($flying < $window && clock_gettime(CLOCK_MONOTONIC) < $until) {
        $flying++;
        $smpp->submit_sm(
            async => 1, source_addr => 'acme', source_addr_ton => 5, source_addr_npi => 0,
            destination_addr => 34600000000 + $answered + $flying, dest_addr_ton => 1, dest_addr_npi => 1,
            registered_delivery => 1, data_coding => 0, short_message => $text,
        ) or die "submit_sm";
    }
    last unless $flying;
    my $pdu = $smpp->read_pdu or die "read_pdu";
    next unless $pdu->{cmd} == 0x80000004;
    $flying--;
    $answered++;
    $failed++ if $pdu->{status};
}
printf qq({"messages": %d, "failed": %d, "seconds": %.6f, "cpu": %.6f}\n), $answered, $failed,
    clock_gettime(CLOCK_MONOTONIC) - $begun, clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $cpu;
