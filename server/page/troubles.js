// What went wrong, in plain words, and what to do about it.

/** `{title, advice}` of what a `Connection` reports. */
export function connectionTrouble({ kind, said, retryInS }) {
  const words = {
    unreachable: ["The server does not answer", "It may have stopped, or your network is down."],
    busy: ["The server cannot take you yet", `It says: “${said}”.`],
    token: said
      ? ["The token was not accepted", `The reason: “${said}”. Check the token and try once more.`]
      : ["This server asks for a token", "Enter the one you were given; it is not stored."],
    refused: ["The server ended it", said ? `It says: “${said}”.` : "It gave no reason; its log may."],
    lost: ["The connection was lost", said ? `The server said: “${said}”.` : "Check your network."],
  }[kind];
  const [title, advice] = words;
  if (kind === "token") return { title, advice };
  if (retryInS === null) return { title, advice: `${advice} Press Try again when that may have changed.` };
  return { title, advice: `${advice} Trying again in ${Math.ceil(retryInS)}\u00a0s.` };
}

/** `{title, advice}` of what kept the microphone or the loudspeaker from being opened. */
export function soundTrouble(error) {
  if (!window.isSecureContext) {
    return {
      title: "The microphone needs a secure page",
      advice:
        "Browsers give it to https:// alone, or to this very machine as http://localhost. " +
        "Open the page at such an address.",
    };
  }
  switch (error.name) {
    case "NotAllowedError":
      return {
        title: "The microphone is not allowed",
        advice:
          "Allow it for this page in the browser’s address bar (and in the system’s privacy settings), " +
          "then press Try again.",
      };
    case "NotFoundError":
      return { title: "There is no microphone", advice: "Plug one in or switch it on, then press Try again." };
    case "NotReadableError":
      return { title: "The microphone is in use", advice: "Close the program that holds it, then press Try again." };
    default:
      return {
        title: "The sound could not be opened",
        advice: `The browser says: “${error.message}”. A current Chrome, Firefox or Safari can do it.`,
      };
  }
}

export const MICROPHONE_GONE = {
  title: "The microphone is gone",
  advice: "It was unplugged, or taken away from this page. Press Try again.",
};

/** `{title, advice}` of an error that the server told about one turn; null where there is nothing to do about it. */
export function turnTrouble({ code, message }) {
  if (code?.startsWith("session_")) return null; // the connection is closed next, with the same words
  // Both are races that the server has decided: the reply had ended, or another was under way.
  if (code === "response_cancel_not_active" || code === "conversation_already_has_active_response") return null;
  if (code === "input_audio_buffer_commit_empty") {
    return { title: "That was too short", advice: "Keep the button, or the space bar, down while you speak." };
  }
  return { title: "This turn failed", advice: `The server says: “${message}”. Say it again.` };
}
