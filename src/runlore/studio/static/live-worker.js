// A browser has six connections for a host: all tabs share the one stream that this worker reads.

/** @type {Set<MessagePort>} */
const ports = new Set();
/** @type {EventSource | null} */
let source = null;
/** @type {Told} */
let last = { state: "off" };

/** @typedef {{state?: string, position?: number}} Told */

/** @param {Told} message */
function tell(message) {
  last = { ...last, ...(message.state ? message : { position: message.position }) };
  for (const port of ports) port.postMessage(message);
}

addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (!source) {
      source = new EventSource(data.feed);
      source.onopen = () => tell({ state: "on" });
      source.onerror = () => tell({ state: "off" });
      source.onmessage = (heard) => tell(JSON.parse(heard.data));
    }
    port.postMessage(last);
  };
  port.start();
});
