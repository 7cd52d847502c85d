//! What an IP header of either version carries, by protocol number.

use etherparse::IpNumber;

use super::view::{Around, Layer, Next, Reason, Reject, View};
use super::{IpPair, ipv6};

/// The layer of an IP header whose version only its first nibble tells.
#[inline]
pub(super) fn version(view: View<'_>) -> Result<Next, Reject> {
    match view.nibble() {
        Some(4) => Ok(Next::Ipv4),
        Some(6) => Ok(Next::Ipv6),
        Some(_) => Err(Reject::malformed(Layer::Ip, Reason::Version)),
        None => Err(view.too_short(1, Layer::Ip)),
    }
}

/// The layer that `protocol` announces, after the extension headers that are skipped: IPv6's and the authentication
/// header. Everything that is neither TCP nor a tunnel looked into is [`Reject::NotTcp`].
pub(super) fn payload<'a>(
    mut protocol: u8,
    mut view: View<'a>,
    around: &mut Around,
) -> Result<(Next, View<'a>), Reject> {
    let is_v6 = around.ip.is_some_and(|ip| matches!(ip.pair, IpPair::V6 { .. }));
    // Ends because every extension header takes bytes.
    loop {
        match IpNumber(protocol) {
            IpNumber::TCP => return Ok((Next::Tcp, view)),
            IpNumber::AUTHENTICATION_HEADER => {
                // Next header, payload length in words less 2 (RFC 4302 §2).
                let (&[next, words], _) = view.header::<2>(Layer::Authentication)?;
                view = view.skip((usize::from(words) + 2) * 4, Layer::Authentication)?;
                protocol = next;
            }
            number if is_v6 && ipv6::is_extension(number) => match ipv6::extension(number, view, around)? {
                ipv6::Extension::Skipped(next, rest) => (protocol, view) = (next, rest),
                ipv6::Extension::Fragment(fragment, rest) => return Ok((Next::Fragment(fragment), rest)),
            },
            number => return Ok((other(number, around)?, view)),
        }
    }
}

/// Whether a datagram of `protocol` can hold TCP, so that its fragments are worth holding.
pub(super) fn may_hold_tcp(protocol: u8) -> bool {
    let number = IpNumber(protocol);
    matches!(number, IpNumber::TCP | IpNumber::AUTHENTICATION_HEADER)
        || ipv6::is_extension(number)
        || other(number, &mut Around::default()).is_ok()
}

/// Tunnels.
fn other(number: IpNumber, around: &mut Around) -> Result<Next, Reject> {
    let next = match number {
        IpNumber::UDP => return Ok(Next::Udp),
        IpNumber::GRE => return Ok(Next::Gre),
        IpNumber::IPV4 => Next::Ipv4,
        IpNumber::IPV6 => Next::Ipv6,
        // SRv6's, RFC 8986 §4.9.
        ETHERNET => Next::Ethernet,
        // RFC 4023; the labels count themselves.
        IpNumber::MPLS_IN_IP => return Ok(Next::Mpls),
        _ => return Err(Reject::NotTcp),
    };
    around.deeper(Layer::Ip)?;
    Ok(next)
}

/// The protocol number of Ethernet in IP.
const ETHERNET: IpNumber = IpNumber(143);
