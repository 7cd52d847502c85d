//! What a key says about its end: token and initial data sequence number (RFC 8684 §3.1, §3.2; RFC 6824 likewise).

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Key, Suite, Token};

/// What one hash of a key gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The first 32 bits of the hash.
    pub token: Token,
    /// The initial data sequence number: the last 64 bits of the hash.
    pub idsn: u64,
}

impl Identity {
    /// The data sequence number of the first byte of data: the IDSN itself stands for the handshake.
    #[inline]
    pub const fn first_dsn(&self) -> u64 {
        self.idsn.wrapping_add(1)
    }
}

/// Token and IDSN of `key`, by one hash.
///
/// ```
/// use mptcp_inspect::crypto::{Key, Suite, Token, identify};
///
/// let server = identify(Suite::Sha256, Key(0x73bb_1503_58a0_aecb_u64.to_be_bytes()));
/// assert_eq!(server.token, Token(0x5f3f_5591));
/// assert_eq!(server.idsn, 12_148_165_319_181_844_525);
/// ```
pub fn identify(suite: Suite, key: Key) -> Identity {
    match suite {
        Suite::Sha1 => {
            let [t0, t1, t2, t3, .., d0, d1, d2, d3, d4, d5, d6, d7]: [u8; 20] = Sha1::digest(key.0).into();
            Identity::from_ends([t0, t1, t2, t3], [d0, d1, d2, d3, d4, d5, d6, d7])
        }
        Suite::Sha256 => {
            let [t0, t1, t2, t3, .., d0, d1, d2, d3, d4, d5, d6, d7]: [u8; 32] = Sha256::digest(key.0).into();
            Identity::from_ends([t0, t1, t2, t3], [d0, d1, d2, d3, d4, d5, d6, d7])
        }
    }
}

impl Identity {
    const fn from_ends(token: [u8; 4], idsn: [u8; 8]) -> Self {
        Self { token: Token(u32::from_be_bytes(token)), idsn: u64::from_be_bytes(idsn) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with token and IDSN from public captures, both as computed with Python's hashlib; in each trace the first DSN
    /// on the wire is IDSN + 1.
    #[test]
    fn tokens_and_sequence_numbers_of_public_traces() {
        let v0 = Suite::Sha1;
        let v1 = Suite::Sha256;
        for (suite, key, token, idsn) in [
            (v0, 0x9c9e_abd1_e46a_33b2, 0xaf97_06eb, 10_975_753_215_851_282_121),
            (v0, 0x967d_2770_b696_0552, 0xe47f_0142, 16_464_867_208_451_421_327),
            (v0, 0x72d3_8468_f5b0_8cec, 0x2c64_a8d6, 7_651_565_209_793_808_421),
            (v0, 0x2bbd_acfe_975a_f7bf, 0xefd8_8ed3, 8_709_636_469_036_836_414),
            (v0, 0x9b59_be3d_695e_66a7, 0xd3dc_ec4f, 7_512_766_147_283_988_405),
            (v0, 0xd005_b1ab_34ba_d344, 0x1f87_4e7a, 8_158_535_551_756_803_168),
            (v1, 0xff2e_c3a2_f615_1881, 0xe1e3_cdeb, 1_172_603_837_543_216_345),
            (v1, 0x54f0_4ad5_bd2d_9f42, 0xeef7_df2f, 15_012_343_925_868_579_241),
            (v1, 0xdbb7_60db_1d55_e07b, 0xc1f1_2b87, 16_040_019_788_386_937_249),
            (v1, 0x45ed_b502_d861_e7b1, 0x5bba_80d9, 2_478_845_224_300_717_173),
            (v1, 0x9dc8_e397_2e3d_9f25, 0xd5c0_05d6, 1_561_335_003_985_645_831),
            (v1, 0x82aa_42ef_4245_f0d0, 0x0661_ac7f, 785_629_575_711_105_798),
            (v1, 0x22fc_33ed_9d78_b9e7, 0x400b_22a3, 4_896_219_234_535_799_992),
            (v1, 0x5bf4_dbf6_27bf_d69b, 0x8560_7bdd, 16_737_065_810_017_587_887),
            (v1, 0x1fdb_5df3_28bc_3def, 0x239f_bdb0, 14_413_541_604_287_230_029),
            (v1, 0x29a6_c869_81ad_933c, 0xa35d_6d82, 11_713_449_205_243_392_241),
            (v1, 0x8f0c_7c64_a6a3_2ac1, 0x2e1a_bded, 17_186_763_219_675_866_564),
            (v1, 0x73bb_1503_58a0_aecb, 0x5f3f_5591, 12_148_165_319_181_844_525),
            (v1, 0xabe9_ccd1_f538_59e7, 0x6e93_e923, 4_248_319_828_782_699_645),
            (v1, 0xc53d_54f2_accb_167a, 0x15eb_0de8, 8_205_239_806_650_827_139),
        ] {
            let key = Key(u64::to_be_bytes(key));
            assert_eq!(identify(suite, key), Identity { token: Token(token), idsn }, "key {key}");
        }
    }

    /// Key and token pairs published in decimal.
    #[test]
    fn tokens_of_v0_keys_in_decimal() {
        for (key, token) in [
            (2_097_874_973_131_745_533_u64, 3_453_009_450),
            (14_232_633_393_355_152_416, 1_187_499_290),
            (983_142_155_943_229_432, 3_611_618_124),
            (6_234_784_353_306_747_016, 2_308_765_430),
        ] {
            assert_eq!(identify(Suite::Sha1, Key(key.to_be_bytes())).token, Token(token), "key {key}");
        }
    }

    /// The low halves of these are the DSS numbers of the same traces.
    #[test]
    fn the_first_dsn_is_one_behind_the_idsn() {
        let client = identify(Suite::Sha1, Key(0x9c9e_abd1_e46a_33b2_u64.to_be_bytes()));
        assert_eq!(client.first_dsn() as u32, 0xd52a_beca);
        assert_eq!(Identity { token: Token(0), idsn: u64::MAX }.first_dsn(), 0);
    }
}
