//! The lines of a Dockerfile: continued ones are put together, comments are left out.

use super::DockerfileError;

/// Instructions, each in one line, with the number of the line where it begins. Comments and empty lines are left out.
pub(super) fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, DockerfileError> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        let wrong = |what: &str| DockerfileError { line: number, what: what.to_owned() };
        if line.contains(|c: char| c.is_control() && c != '\t') {
            return Err(wrong("there is a control character"));
        }
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix('#') {
            let comment = comment.trim_start().to_ascii_lowercase();
            if comment.strip_prefix("escape").is_some_and(|rest| rest.trim_start().starts_with('=')) {
                return Err(wrong("another escape character is not taken; use \\"));
            }
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let (begun, mut whole) = open.take().unwrap_or((number, String::new()));
        let piece = if whole.is_empty() { trimmed } else { line.trim_end() };
        match piece.strip_suffix('\\') {
            Some(piece) if piece.ends_with('\\') => {
                return Err(wrong("it ends with two \\, which engines read in different ways"));
            }
            Some(piece) => {
                whole.push_str(piece);
                open = Some((begun, whole));
            }
            None => {
                whole.push_str(piece);
                lines.push((begun, whole));
            }
        }
    }
    lines.extend(open);
    // What a continued line began with may be blank.
    lines.iter_mut().for_each(|(_, line)| *line = line.trim().to_owned());
    lines.retain(|(_, line)| !line.is_empty());
    if let Some((line, _)) = lines.iter().find(|(_, text)| text.ends_with('\\') || text.starts_with('#')) {
        return Err(DockerfileError { line: *line, what: "its beginning or end is not clear".to_owned() });
    }
    Ok(lines)
}
