//! What is sent: text of one length that begins with its number, so that every answer can be told from any other.

/// Digits of the number.
const DIGITS: usize = 16;

/// Writes and checks payloads of one length.
#[derive(Clone, Debug)]
pub struct Payload {
    text: Vec<u8>,
}

impl Payload {
    /// The shortest that has room for its number.
    pub const LEAST: usize = DIGITS;

    /// Of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let text = (0..bytes.max(Self::LEAST)).map(|at| b'a' + (at % 26) as u8).collect();
        Self { text }
    }

    /// The one with this number.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        let mut rest = number;
        for digit in self.text[..DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.text
    }

    /// The number of one that came back, if nothing else of it has changed.
    pub fn number(&self, payload: &[u8]) -> Option<u64> {
        let (digits, rest) = payload.split_at_checked(DIGITS)?;
        if rest != &self.text[DIGITS..] {
            return None;
        }
        digits.iter().try_fold(0_u64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_payload_has_no_number() {
        let mut payload = Payload::new(64);
        let sent = payload.numbered(1_234_567).to_vec();
        assert_eq!(payload.number(&sent), Some(1_234_567));
        for at in 0..64 {
            let mut changed = sent.clone();
            changed[at] ^= 0x80;
            assert_eq!(payload.number(&changed), None);
        }
        assert_eq!(payload.number(&sent[..63]), None);
    }
}
