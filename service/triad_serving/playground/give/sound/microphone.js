// Runs in the audio thread: hands on what the microphone hears.

class Microphone extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length > 0) this.port.postMessage(channels[0].slice());
    return true;
  }
}

registerProcessor("microphone", Microphone);
