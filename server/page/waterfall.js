// The stages of a turn, from the caller's last word to the first sound, as rows of bars on one time axis.

const STAGES = [
  // what it is, the moment it begins, the moment it is through
  ["Pause noticed", "speech_end_s", "pause_s"],
  ["Words understood", "pause_s", "transcript_s"],
  ["Turn taken for over", "pause_s", "committed_s"],
  ["First word of reply", "transcript_s", "first_token_s"],
  ["First clause", "first_token_s", "first_clause_s"],
  ["First sound made", "first_clause_s", "first_sample_s"],
  ["Sent", "first_sample_s", "first_sent_s"],
];

/**
 * Rows `{label, fromMs, toMs}`, milliseconds after the last word, of the stages that happened.
 *
 * `trace` is the server's, in seconds on the clock of the caller's audio; `position_s` is the end of the last word on it,
 * where the trace has none; `ttfaMs` is when the first sound left this machine.
 */
export function stages(trace, position_s, ttfaMs) {
  const origin_s = trace.speech_end_s ?? position_s;
  const at = (name) => Math.max(0, ((trace[name] ?? origin_s) - origin_s) * 1_000);
  const rows = STAGES.filter(([, , through]) => trace[through] !== undefined).map(([label, from, through]) => {
    // A reply made on a guess waits, ready, until the turn is over.
    const begins = through === "first_sent_s" ? Math.max(at(from), at("committed_s")) : at(from);
    return { label, fromMs: Math.min(begins, at(through)), toMs: at(through) };
  });
  rows.push({ label: "Heard here", fromMs: Math.min(at("first_sent_s"), ttfaMs), toMs: ttfaMs });
  return rows;
}

export function drawWaterfall(list, rows) {
  const endMs = Math.max(...rows.map(({ toMs }) => toMs), 1);
  list.replaceChildren(
    ...rows.map(({ label, fromMs, toMs }) => {
      const row = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = label;
      const track = document.createElement("div");
      const bar = document.createElement("i");
      bar.style.left = `${(100 * fromMs) / endMs}%`;
      bar.style.width = `${(100 * (toMs - fromMs)) / endMs}%`;
      track.append(bar);
      track.setAttribute("aria-hidden", "true");
      const figure = document.createElement("span");
      figure.textContent = `${Math.round(toMs)} ms`;
      row.append(name, track, figure);
      return row;
    }),
  );
}
