"use strict";
/* The correspondence explorer: a point of a clip's first frame, its affinity over a later frame, where it is tracked.
   Data are scripts (see stt_study/figures/explorer.py), each of which calls sttExplorer.put with its file's name. */
(() => {
  const LONGEST = 640; // canvas px of a frame's longer side; the style sheet scales it
  const PAUSE = 700; // ms a frame, when playing
  const QUIET = 300; // ms between two texts of the status line, so that a screen reader can follow
  const root = document.getElementById("explorer"), { folder } = root.dataset;

  root.insertAdjacentHTML("beforeend", `
    <div class="choices">
      <label>Clip <select id="explorer-clip"></select></label>
      <fieldset id="explorer-variants"><legend>Network</legend></fieldset>
    </div>
    <div class="frames">
      <figure>
        <canvas id="explorer-first" tabindex="0" role="application" aria-label="Frame 0: choose a point"
          aria-describedby="explorer-help"></canvas>
        <figcaption>Frame 0: choose a point <span aria-hidden="true">✛</span></figcaption>
      </figure>
      <figure>
        <canvas id="explorer-later" role="img" aria-label="Later frame"></canvas>
        <figcaption><span id="explorer-time"></span> ○ tracked, ◇ most similar cell</figcaption>
      </figure>
    </div>
    <div class="player">
      <button type="button" id="explorer-previous">Previous</button>
      <button type="button" id="explorer-play">Play</button>
      <button type="button" id="explorer-next">Next</button>
      <label>Frame <input type="range" id="explorer-frame" min="0" max="0" step="1" value="0"></label>
    </div>
    <p id="explorer-status" role="status" aria-live="polite"></p>
    <p id="explorer-help">Move the mouse over frame 0; a click holds the point, the next one lets it go. Or tap, or drag
      a finger. Or give the frame the focus and use the arrow keys (with Shift, five steps at a time).</p>`);
  const names = ["clip", "variants", "first", "later", "time", "previous", "play", "next", "frame", "status"];
  const [clips, variants, first, later, time, previous, play, next, slider, status] =
    names.map((name) => document.getElementById(`explorer-${name}`));

  let index = null; // content of index.js
  let view = null; // what is shown: {clip, variant} of the index, {images, scale, features, tracks, best, share}
  let point = 0, t = 0; // number of the point among the clip's, and of the frame among those shown
  let held = false; // the mouse doesn't move the point
  let timer = 0; // of play
  let asked = 0; // counts choices: files that come after the next choice are dropped

  /* Files. */

  const arrived = new Map(), files = new Map();
  window.sttExplorer = { put: (name, content) => arrived.set(name, content) };

  function load(name) {
    if (!files.has(name)) {
      files.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${folder}${encodeURIComponent(name)}.js`;
        script.onload = () => (arrived.has(name) ? resolve(arrived.get(name)) : script.onerror());
        script.onerror = () => {
          files.delete(name); // so that the same choice tries again
          const where = `The file ${name}.js is missing or broken in ${folder}`;
          reject(new Error(`${where}; run this page's notebook again, then render the book.`));
        };
        document.head.append(script);
      }));
    }
    return files.get(name);
  }

  async function unpacked(text, Kind) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Kind(await new Response(stream).arrayBuffer());
  }

  async function decoded(jpeg) {
    const image = new Image();
    image.src = `data:image/jpeg;base64,${jpeg}`;
    await image.decode();
    return image;
  }

  async function choose(clip, variant) {
    const mine = ++asked;
    say("Loading …");
    try {
      const [{ frames }, packed] = await Promise.all([load(clip.name), load(`${clip.name}--${variant.name}`)]);
      const images = await Promise.all(frames.map(decoded));
      const features = await unpacked(packed.features, Int8Array);
      const [tracks, best, share] = await Promise.all(
        [packed.tracks, packed.best, packed.share].map((text) => unpacked(text, Uint16Array)));
      if (mine !== asked) return;
      if (view?.clip !== clip) begin(clip);
      view = { clip, variant, images, scale: packed.scale, features, tracks, best, share };
      show();
    } catch (error) {
      if (mine === asked) fail(error);
    }
  }

  function begin(clip) {
    const scale = LONGEST / Math.max(...clip.size);
    for (const canvas of [first, later]) [canvas.width, canvas.height] = clip.size.map((n) => Math.round(n * scale));
    slider.max = clip.shown.length - 1;
    [point, t] = [clip.start, clip.shown.length >> 1];
  }

  function fail(error) {
    stop();
    view = null;
    for (const canvas of [first, later]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    say(error.message);
  }

  /* What is seen. */

  // xy px of a cell's centre; the first pixel's centre is at 0.
  function centre(cell) {
    const { size, grid } = view.clip, column = cell % grid[1], row = Math.floor(cell / grid[1]);
    return [((column + 0.5) * size[0]) / grid[1] - 0.5, ((row + 0.5) * size[1]) / grid[0] - 0.5];
  }

  // Heat of every cell of the shown frame, 1 at the most similar one: softmax of the products with the chosen cell. The
  // features are packed, so products are nearly right; the most similar cell and its share of the softmax are exact.
  function heat(chosen, most, share) {
    const { clip, features, scale } = view, cells = clip.grid[0] * clip.grid[1];
    const products = new Float32Array(cells);
    for (let d = 0; d < features.length; d += cells * clip.shown.length) {
      const query = features[d + chosen], start = d + t * cells;
      for (let i = 0; i < cells; i++) products[i] += query * features[start + i];
    }
    const largest = products.reduce((a, b) => Math.max(a, b));
    const weights = products.map((product) => Math.exp(((product - largest) * scale ** 2) / index.temperature));
    weights[most] = 0;
    const others = weights.reduce((a, b) => a + b) || 1;
    const strengths = weights.map((weight) => Math.min(1, ((weight / others) * (1 - share)) / share));
    strengths[most] = 1;
    return strengths;
  }

  function drawHeat(context, strengths) {
    const [height, width] = view.clip.grid, { colours } = index;
    const pixels = new ImageData(width, height), small = document.createElement("canvas");
    strengths.forEach((strength, i) => {
      const colour = colours[Math.round(strength * (colours.length - 1))];
      pixels.data.set([...colour, 255 * (0.15 + 0.8 * strength)], 4 * i);
    });
    [small.width, small.height] = [width, height];
    small.getContext("2d").putImageData(pixels, 0, 0);
    context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
  }

  // Lines [[x, y], …] or a circle of a radius, around a place in px: white with a dark rim, which reads on any ground.
  function mark(context, place, lines, radius = 0) {
    const scale = context.canvas.width / view.clip.size[0], [x, y] = place.map((value) => (value + 0.5) * scale);
    context.beginPath();
    if (radius) context.arc(x, y, radius, 0, 2 * Math.PI);
    for (const [start, ...rest] of lines) {
      context.moveTo(x + start[0], y + start[1]);
      for (const [dx, dy] of rest) context.lineTo(x + dx, y + dy);
    }
    for (const [width, colour] of [[7, "black"], [3, "white"]]) {
      Object.assign(context, { lineWidth: width, strokeStyle: colour });
      context.stroke();
    }
  }

  function show() {
    const { clip, variant, images, tracks } = view;
    const columns = clip.columns.length, at = t * clip.rows.length * columns + point; // in tracks, best and share
    const cell = clip.rows[Math.floor(point / columns)] * clip.grid[1] + clip.columns[point % columns];
    const best = view.best[at], share = view.share[at] / index.whole;
    const lost = tracks[2 * at] === index.lost, track = [0, 1].map((i) => tracks[2 * at + i] / index.tenths);

    const a = first.getContext("2d"), b = later.getContext("2d"), whole = [0, 0, first.width, first.height];
    a.drawImage(images[0], ...whole);
    mark(a, centre(cell), [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([x, y]) => [[6 * x, 6 * y], [20 * x, 20 * y]]));
    b.drawImage(images[t], ...whole);
    for (const [operation, colour] of [["saturation", "gray"], ["source-over", "rgb(0 0 0 / 30%)"]]) {
      Object.assign(b, { globalCompositeOperation: operation, fillStyle: colour });
      b.fillRect(...whole); // grey and darker, so that heat stands out
    }
    drawHeat(b, heat(cell, best, share));
    mark(b, centre(best), [[[0, -17], [17, 0], [0, 17], [-17, 0], [0, -17], [17, 0]]]);
    if (!lost) mark(b, track, [], 12);

    const frame = clip.shown[t], words = ([x, y]) => `x\u00a0${Math.round(x)}, y\u00a0${Math.round(y)}`;
    time.textContent = `Frame ${frame} of ${clip.length - 1}:`;
    slider.value = t;
    slider.setAttribute("aria-valuetext", `frame ${frame}`);
    later.setAttribute("aria-label", `Frame ${frame} with the point's affinity, which the text below sums up`);
    const percent = Number((100 * share).toPrecision(2));
    say(`Point at ${words(centre(cell))} px${held ? ", held" : ""}. Frame ${frame}, ${variant.title}: `
      + `${lost ? "its track is lost" : `tracked to ${words(track)}`}; `
      + `the most similar cell is at ${words(centre(best))} and has ${percent} % of the affinity.`);
  }

  let latest = "", silence = 0;
  function say(text) {
    latest = text;
    if (silence) return;
    if (status.textContent !== text) status.textContent = text;
    silence = setTimeout(() => {
      silence = 0;
      if (latest !== status.textContent) say(latest);
    }, QUIET);
  }

  /* Controls. */

  function move(row, column) {
    const { rows, columns } = view.clip;
    const within = (value, { length }) => Math.min(length - 1, Math.max(0, value));
    point = within(row, rows) * columns.length + within(column, columns);
    show();
  }

  function pointAt(event) {
    const box = first.getBoundingClientRect(), { grid, rows, columns } = view.clip;
    const nearest = (share, cells, count) => Math.round((share * count - 0.5 - cells[0]) / (cells[1] - cells[0] || 1));
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    move(nearest(y, rows, grid[0]), nearest(x, columns, grid[1]));
  }

  first.addEventListener("pointerdown", (event) => {
    held = event.pointerType === "mouse" && !held;
    if (view) pointAt(event);
  });
  first.addEventListener("pointermove", (event) => {
    if (view && !held && (event.pointerType === "mouse" || event.buttons)) pointAt(event);
  });
  first.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!view || !step) return;
    event.preventDefault(); // the page is not to scroll
    const { length } = view.clip.columns, [down, right] = step.map((n) => (event.shiftKey ? 5 * n : n));
    move(Math.floor(point / length) + down, (point % length) + right);
  });

  function go(frame) {
    if (!view) return;
    const count = view.clip.shown.length;
    t = (frame + count) % count;
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
    status.setAttribute("aria-live", "polite");
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    status.setAttribute("aria-live", "off"); // or every frame would be read out
    timer = setInterval(() => go(t + 1), PAUSE);
  });
  for (const [control, event, frame] of [
    [previous, "click", () => t - 1], [next, "click", () => t + 1], [slider, "input", () => Number(slider.value)],
  ]) {
    control.addEventListener(event, () => {
      stop();
      go(frame());
    });
  }

  say("Loading …");
  load("index").then((content) => {
    index = content;
    clips.append(...index.clips.map(({ name }) => new Option(name)));
    index.variants.forEach(({ name, title }, i) => {
      const label = document.createElement("label"), radio = document.createElement("input");
      const checked = i === index.variants.length - 1;
      Object.assign(radio, { type: "radio", name: "explorer-variant", value: i, checked });
      label.append(radio, title);
      variants.append(label);
    });
    const chosen = () => choose(
      index.clips[clips.selectedIndex], index.variants[variants.querySelector("input:checked").value]);
    for (const control of [clips, variants]) control.addEventListener("change", chosen);
    chosen();
  }).catch(fail);
})();
