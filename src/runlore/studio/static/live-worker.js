// A browser has six connections for a host: all tabs share the one stream that this worker reads.

const ports = new Set();
let source = null;
let last = { state: "off" };

function tell(message) {
  last = { ...last, ...(message.state ? message : { position: message.position }) };
  for (const port of ports) port.postMessage(message);
}

self.onconnect = (event) => {
  const [port] = event.ports;
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
};
