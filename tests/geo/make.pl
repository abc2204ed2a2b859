#!/usr/bin/perl
# Makes the databases of this folder: documentation addresses (RFC 5737, RFC 3849) in places that exist.
#
#     apt install libmaxmind-db-writer-perl && perl make.pl
use strict;
use warnings;
use utf8;
use MaxMind::DB::Writer::Tree;

my %types = (
    city => 'map', country => 'map', location => 'map', names => 'map', subdivisions => [ 'array', 'map' ],
    en => 'utf8_string', de => 'utf8_string', iso_code => 'utf8_string', time_zone => 'utf8_string',
    geoname_id => 'uint32', latitude => 'double', longitude => 'double',
);

sub place {
    my ($city, $region, $country, $zone) = @_;
    my %data = (country => { iso_code => $country, names => { en => "country of $country" } });
    $data{city} = { geoname_id => 1, names => { en => $city, de => "$city (de)" } } if defined $city;
    $data{subdivisions} = [ { iso_code => 'X', names => { en => $region } }, { names => { en => 'smaller' } } ]
        if defined $region;
    $data{location} = { latitude => 1.5, longitude => 2.5, time_zone => $zone } if defined $zone;
    return \%data;
}

sub make {
    my ($file, %places) = @_;
    my $tree = MaxMind::DB::Writer::Tree->new(
        ip_version => 6, record_size => 24, database_type => 'GeoLite2-City', languages => [ 'en', 'de' ],
        description => { en => 'addresses for tests' }, remove_reserved_networks => 0, alias_ipv6_to_ipv4 => 0,
        map_key_type_callback => sub { my $type = $types{ $_[0] }; ref $type ? $type : $type });
    $tree->insert_network($_, $places{$_}) for sort keys %places;
    open my $out, '>:raw', $file or die "$file: $!";
    $tree->write_tree($out);
    close $out or die $!;
}

make('first.mmdb',
    '192.0.2.0/25'    => place('Malmö', 'Skåne County', 'SE', 'Europe/Stockholm'),
    '192.0.2.128/25'  => place(undef, undef, 'DE', undef),
    '198.51.100.0/24' => place('São Paulo', 'São Paulo', 'BR', 'America/Sao_Paulo'),
    '127.0.0.0/8'     => place('Loopback City', 'Here', 'ZZ', 'UTC'),
    '2001:db8::/32'   => place('Lyon', 'Auvergne-Rhône-Alpes', 'FR', 'Europe/Paris'));
make('second.mmdb', '192.0.2.0/24' => place('Kyoto', 'Kyoto', 'JP', 'Asia/Tokyo'));
