// Whether to dial again, and after how long: longer each time, never in step with others, and not for ever.
// The policy of `client/backoff.py`; tests/page/test_reconnection.py holds the two to each other.

export const POLICY = {
  firstS: 0.5,
  factor: 2,
  longestS: 30,
  longestAskedS: 60,
  patienceS: 120,
  steadyS: 10, // a connection that held this long was a good one: after it there is patience anew
  passingCodes: [1001, 1006, 1011, 1012, 1013, 1014], // closes that say nothing against connecting again
  passingStatuses: [429, 500, 502, 503, 504],
};

export class Backoff {
  #leftS;
  #chance;
  #longestS = POLICY.firstS;

  /** `patienceS` is how much waiting there may be in all; `chance()` draws from [0, 1). */
  constructor(patienceS = POLICY.patienceS, chance = Math.random) {
    this.#leftS = patienceS;
    this.#chance = chance;
  }

  /** The next pause, no shorter than the server has asked for; null where patience ends before it would. */
  nextPauseS(askedS = null) {
    let pauseS = (this.#longestS * (1 + this.#chance())) / 2;
    if (askedS !== null) pauseS = Math.max(pauseS, askedS * (1 + this.#chance() / 4));
    this.#longestS = Math.min(this.#longestS * POLICY.factor, POLICY.longestS);
    this.#leftS -= pauseS;
    return this.#leftS >= 0 ? pauseS : null;
  }
}

/** What a `Retry-After` asks for in seconds; null where there is none, or it is not a number of seconds. */
export function askedPauseS(retryAfter) {
  return /^[0-9]+$/.test(retryAfter ?? "") ? Math.min(Math.max(Number(retryAfter), 0.1), POLICY.longestAskedS) : null;
}
