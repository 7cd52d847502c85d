use mptcp_inspect::*;
fn main() {
    println!(
        "segment {} options {} dss {} decoded {} subflow {} conn {} half {} data {} join {} mappings {} mapping tally {}",
        size_of::<packet::Segment>(),
        size_of::<track::options::Options>(),
        size_of::<wire::Dss>(),
        size_of::<packet::Decoded>(),
        size_of::<track::subflow::Subflow>(),
        size_of::<track::connection::Connection>(),
        size_of::<track::half::Half>(),
        size_of::<track::data::DataLevel>(),
        size_of::<track::subflow::Join>(),
        size_of::<track::mapping::Mappings>(),
        size_of::<track::connection::ChecksumTally>()
    );
    println!(
        "synseen {} moment {} reset {} ends {} handshake {} blocks {} rangeset {}",
        size_of::<track::subflow::SynSeen>(),
        size_of::<track::mark::Moment>(),
        size_of::<Option<track::subflow::Reset>>(),
        size_of::<track::keys::EndIdentity>(),
        size_of::<track::connection::Handshake>(),
        size_of::<track::data::Blocks>(),
        size_of::<track::range_set::RangeSet>()
    );
    println!(
        "mptcpopt {} rtt {} hist {} placed {}",
        size_of::<wire::MptcpOption>(),
        size_of::<track::round_trip::RoundTrips>(),
        size_of::<track::histogram::Histogram>(),
        size_of::<track::mapping::Placed>()
    );
}
