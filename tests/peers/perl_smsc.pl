#!/usr/bin/perl
# An SMSC made of Net::SMPP: takes messages, answers with a hexadecimal id in capitals with leading zeros, and reports
# the same id in small letters and without them.
# What it does beyond that, what it prints and what it is told is described in peers.py.
use strict;
use warnings;

use Encode qw(encode);
use IO::Handle;
use IO::Select;
use JSON::PP;
use Net::SMPP;

STDOUT->autoflush(1);
my $json = JSON::PP->new->utf8->canonical;
my $next = ($$ << 12) + 0xABC;    # after a restart the ids must be new ones
my $reference = 0;
my %throttled;
my %waiting;                      # link and sequence number of a receipt -> the id that it reports
my %bound;                        # the links with a login
my %receives;                     # those of them that may be sent something
my %bind = (1 => 'bind_receiver', 2 => 'bind_transmitter', 9 => 'bind_transceiver');

sub say_event { print $json->encode({@_}) . "\n"; }

sub login {
    my ($link, $pdu, $name) = @_;
    my $status = 0;
    if    ($pdu->{system_id} ne $ENV{PEER_USER})    { $status = 0x0F; }
    elsif ($pdu->{password} ne $ENV{PEER_PASSWORD}) { $status = 0x0E; }
    say_event(event => 'bind', command => $name, user => $pdu->{system_id}, status => $status);
    my $answer = "${name}_resp";
    $link->$answer(system_id => 'perl', status => $status, seq => $pdu->{seq});
    return if $status;
    $bound{$link} = $link;
    $receives{$link} = $link if $name ne 'bind_transmitter';
}

sub refusal {
    my ($link, $destination) = @_;
    return 0x04 unless $bound{$link};
    return 0x0B if $destination =~ /^34692/;
    return 0x58 if $destination =~ /^34693/ && !$throttled{$destination}++;
    return 0;
}

sub submit {
    my ($link, $pdu) = @_;
    if (my $status = refusal($link, $pdu->{destination_addr})) {
        say_event(event => 'refused', destination => $pdu->{destination_addr}, status => $status);
        $link->submit_sm_resp(message_id => '', status => $status, seq => $pdu->{seq});
        return;
    }
    my $number = $next++;
    my $id = sprintf '%08X', $number;
    say_event(
        event => 'submit_sm', id => $id,
        source_addr => $pdu->{source_addr}, source_ton => $pdu->{source_addr_ton}, source_npi => $pdu->{source_addr_npi},
        destination => $pdu->{destination_addr}, dest_ton => $pdu->{dest_addr_ton}, dest_npi => $pdu->{dest_addr_npi},
        data_coding => $pdu->{data_coding}, esm_class => $pdu->{esm_class},
        registered_delivery => $pdu->{registered_delivery},
        short_message => unpack('H*', $pdu->{message_payload} // $pdu->{short_message}),
        sar => [map { defined ? hex unpack 'H*', $_ : () } @$pdu{qw(sar_msg_ref_num sar_segment_seqnum sar_total_segments)}],
    );
    $link->submit_sm_resp(message_id => $id, seq => $pdu->{seq});
    report(receiver($link), $pdu, $id, $number) if $pdu->{registered_delivery} & 1;
}

sub receiver {
    my ($link) = @_;
    return $link if $link && $receives{$link};
    return (values %receives)[0];
}

sub report {
    my ($link, $pdu, $id, $number) = @_;
    my ($second, $minute, $hour, $day, $month, $year) = gmtime;
    my $date = sprintf '%02d%02d%02d%02d%02d', $year % 100, $month + 1, $day, $hour, $minute;
    my $outcome = $pdu->{destination_addr} =~ /^34691/ ? 'stat:UNDELIV err:001' : 'stat:DELIVRD err:000';
    my $sequence = $link->deliver_sm(
        async => 1,
        source_addr => $pdu->{destination_addr}, source_addr_ton => $pdu->{dest_addr_ton},
        source_addr_npi => $pdu->{dest_addr_npi}, destination_addr => $pdu->{source_addr},
        dest_addr_ton => $pdu->{source_addr_ton}, dest_addr_npi => $pdu->{source_addr_npi}, esm_class => 4,
        short_message => sprintf('id:%x sub:001 dlvrd:001 submit date:%s done date:%s %s text:',
            $number, $date, $date, $outcome),
    );
    $waiting{"$link $sequence"} = $id;
}

# UCS-2, and a long text in pieces of 60 units with the SAR parameters.
sub deliver {
    my ($link, $order) = @_;
    my @pieces = encode('UTF-16BE', $order->{text}) =~ /(.{1,120})/gs;
    $reference++;
    for my $number (1 .. @pieces) {
        my @parts = @pieces == 1 ? () : (
            sar_msg_ref_num => pack('n', $reference), sar_total_segments => pack('C', scalar @pieces),
            sar_segment_seqnum => pack('C', $number),
        );
        $link->deliver_sm(
            async => 1, source_addr => $order->{source}, source_addr_ton => 1, source_addr_npi => 1,
            destination_addr => $order->{destination}, dest_addr_ton => 1, dest_addr_npi => 1,
            data_coding => 8, short_message => $pieces[$number - 1], @parts,
        );
    }
}

sub obey {
    my ($order) = @_;
    my $link = receiver();
    if    ($order->{do} eq 'deliver') { deliver($link, $order); }
    elsif ($order->{do} eq 'enquire') { $link->enquire_link(async => 1); }
    elsif ($order->{do} eq 'unbind')  { $link->unbind(async => 1); }
}

# False where the link is at its end.
sub serve {
    my ($link) = @_;
    local $SIG{__WARN__} = sub { };    # Net::SMPP warns of every end of a connection
    $! = 0;                            # it takes an old EINTR for a new one
    my $pdu = $link->read_pdu or return 0;
    my $command = $pdu->{cmd};
    if ($bind{$command}) { login($link, $pdu, $bind{$command}); }
    elsif ($command == 0x04) { submit($link, $pdu); }
    elsif ($command == 0x15) {
        say_event(event => 'enquire_link');
        $link->enquire_link_resp(seq => $pdu->{seq});
    }
    elsif ($command == 0x06) {
        say_event(event => 'unbind');
        $link->unbind_resp(seq => $pdu->{seq});
        return 0;
    }
    elsif ($command == 0x80000005) {
        my $id = delete $waiting{"$link $pdu->{seq}"};
        say_event(event => $id ? 'deliver_sm_resp' : 'taken', id => $id, status => $pdu->{status});
    }
    elsif ($command == 0x80000015) { say_event(event => 'enquire_link_resp', status => $pdu->{status}); }
    elsif ($command == 0x80000006) {
        say_event(event => 'unbind_resp', status => $pdu->{status});
        return 0;
    }
    return 1;
}

my $listener = Net::SMPP->new_listen('127.0.0.1', port => $ENV{PEER_PORT}) or die "cannot listen: $!";
print 'PORT ' . $listener->sockport . "\n";
my $ready = IO::Select->new($listener, \*STDIN);
my $orders = '';
while (1) {
    for my $handle ($ready->can_read) {
        if ($handle == $listener) {
            if (my $link = $listener->accept) { $ready->add($link); }
        }
        elsif ($handle == \*STDIN) {
            sysread STDIN, $orders, 65536, length $orders or exit 0;
            while ($orders =~ s/^(.*)\n//) { obey($json->decode($1)); }
        }
        elsif (!serve($handle)) {
            $ready->remove($handle);
            delete $bound{$handle};
            delete $receives{$handle};
            close $handle;
        }
    }
}
