// What a model can read, in the order in which the page tells of it.

export const MEDIA = ["text", "image", "audio", "fields"];
