// From the playground to the search page: what an address cannot hold travels in the tab's storage.

const KEY = "triad.carried";

/** media: image and audio, each with a blob and a name, or null. Whether all of it can be taken along. */
export async function carry(media) {
  const packed = await Promise.all(Object.entries(media).map(async ([medium, each]) => {
    return each && [medium, { name: each.name, data: await toAddress(each.blob) }];
  }));
  try {
    sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(packed.filter(Boolean))));
    return true;
  } catch {
    return false; // storage is blocked, or some MB are too much for it
  }
}

/** As it was given; empty where nothing was. */
export function carried() {
  try {
    const packed = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(packed).map(([medium, { name, data }]) => [medium, { name, blob: toBlob(data) }]));
  } catch {
    return {}; // storage is blocked
  }
}

function toAddress(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function toBlob(address) {
  const [, type, data] = address.match(/^data:([^,]*);base64,(.*)$/s);
  return new Blob([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], { type });
}
