#!/usr/bin/perl
# An SMSC made of Net::SMPP: takes messages, answers with a hexadecimal id in capitals with leading zeros, and reports
# the same id in small letters and without them.
# Prints "PORT n" and then one line of JSON for whatever happens. PEER_USER and PEER_PASSWORD are the account.
use strict;
use warnings;

use IO::Handle;
use JSON::PP;
use Net::SMPP;

STDOUT->autoflush(1);
$SIG{CHLD} = 'IGNORE';
my $json = JSON::PP->new->canonical;
my $next;
my %waiting;    # sequence number of a receipt -> the id that it reports

sub say_event { print $json->encode({@_}) . "\n"; }

sub login {
    my ($link, $pdu, $name) = @_;
    my $status = 0;
    if    ($pdu->{system_id} ne $ENV{PEER_USER})    { $status = 0x0F; }
    elsif ($pdu->{password} ne $ENV{PEER_PASSWORD}) { $status = 0x0E; }
    say_event(event => 'bind', command => $name, user => $pdu->{system_id}, status => $status);
    my $answer = "${name}_resp";
    $link->$answer(system_id => 'perl', status => $status, seq => $pdu->{seq});
    return !$status;
}

sub submit {
    my ($link, $pdu) = @_;
    my $number = $next++;
    my $id = sprintf '%08X', $number;
    say_event(
        event => 'submit_sm', id => $id,
        source_addr => $pdu->{source_addr}, source_ton => $pdu->{source_addr_ton}, source_npi => $pdu->{source_addr_npi},
        destination => $pdu->{destination_addr}, dest_ton => $pdu->{dest_addr_ton}, dest_npi => $pdu->{dest_addr_npi},
        data_coding => $pdu->{data_coding}, esm_class => $pdu->{esm_class},
        registered_delivery => $pdu->{registered_delivery}, short_message => unpack('H*', $pdu->{short_message}),
    );
    $link->submit_sm_resp(message_id => $id, seq => $pdu->{seq});
    return unless $pdu->{registered_delivery} & 1;
    my ($second, $minute, $hour, $day, $month, $year) = gmtime;
    my $date = sprintf '%02d%02d%02d%02d%02d', $year % 100, $month + 1, $day, $hour, $minute;
    my $sequence = $link->deliver_sm(
        async => 1,
        source_addr => $pdu->{destination_addr}, source_addr_ton => $pdu->{dest_addr_ton},
        source_addr_npi => $pdu->{dest_addr_npi}, destination_addr => $pdu->{source_addr},
        dest_addr_ton => $pdu->{source_addr_ton}, dest_addr_npi => $pdu->{source_addr_npi}, esm_class => 4,
        short_message => sprintf('id:%x sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:',
            $number, $date, $date),
    );
    $waiting{$sequence} = $id;
}

sub serve {
    my ($link) = @_;
    my %bind = (1 => 'bind_receiver', 2 => 'bind_transmitter', 9 => 'bind_transceiver');
    my $bound = 0;
    local $SIG{__WARN__} = sub { };    # Net::SMPP warns of every end of a connection
    while (my $pdu = $link->read_pdu) {
        my $command = $pdu->{cmd};
        if ($bind{$command}) { $bound = login($link, $pdu, $bind{$command}); }
        elsif ($command == 0x15) { $link->enquire_link_resp(seq => $pdu->{seq}); }
        elsif ($command == 0x06) {
            say_event(event => 'unbind');
            $link->unbind_resp(seq => $pdu->{seq});
            return;
        }
        elsif ($command == 0x04 && $bound) { submit($link, $pdu); }
        elsif ($command == 0x04) { $link->submit_sm_resp(message_id => '', status => 0x04, seq => $pdu->{seq}); }
        elsif ($command == 0x80000005) {
            say_event(event => 'deliver_sm_resp', id => delete $waiting{$pdu->{seq}}, status => $pdu->{status});
        }
    }
}

my $listener = Net::SMPP->new_listen('127.0.0.1', port => 0) or die "cannot listen: $!";
print 'PORT ' . $listener->sockport . "\n";
while (1) {
    my $link = $listener->accept or next;
    my $child = fork;
    die "cannot fork: $!" unless defined $child;
    if (!$child) {
        close $listener;
        $! = 0;
        $next = $$ * 0x1000 + 0xABC;    # every link is a process of its own, and no two may give the same id
        serve($link);
        exit 0;
    }
    close $link;
}
