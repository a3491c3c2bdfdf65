// Joint angles over the last seconds.
const SECONDS = 8, MOST_DEG = 180, STEP_DEG = 45, LEFT_MARGIN = 34, BOTTOM = 18, GAP_S = 0.5;

export class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.rows = []; // {time, angles}, the newest last
  }

  clear() {
    this.rows = [];
  }

  add(time, angles) {
    if (this.rows.length && time <= this.rows.at(-1).time) this.clear(); // a clip begins anew
    this.rows.push({ time, angles });
    while (this.rows[0].time < time - SECONDS) this.rows.shift();
  }

  // `lines`: {index, colour} of the angles to draw.
  draw(lines) {
    const scale = Math.min(window.devicePixelRatio, 2);
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const ink = this.canvas.getContext("2d");
    ink.scale(scale, scale);
    const now = this.rows.length ? this.rows.at(-1).time : 0;
    const across = (time) => LEFT_MARGIN + (1 - (now - time) / SECONDS) * (width - LEFT_MARGIN - 4);
    const down = (angle) => 6 + (1 - angle / MOST_DEG) * (height - BOTTOM - 6);
    ink.font = "11px system-ui, sans-serif";
    ink.lineWidth = 1;
    for (let angle = 0; angle <= MOST_DEG; angle += STEP_DEG) {
      ink.strokeStyle = "#343a46";
      ink.beginPath();
      ink.moveTo(LEFT_MARGIN, down(angle));
      ink.lineTo(width - 4, down(angle));
      ink.stroke();
      ink.fillStyle = "#969eac";
      ink.textAlign = "right";
      ink.fillText(`${angle}°`, LEFT_MARGIN - 6, down(angle) + 4);
    }
    for (let back = 0; back <= SECONDS; back += 2) {
      ink.textAlign = back === 0 ? "right" : "center";
      ink.fillText(back === 0 ? "now" : `-${back} s`, Math.max(across(now - back), LEFT_MARGIN + 10), height - 3);
    }
    ink.lineWidth = 1.8;
    ink.lineJoin = "round";
    for (const { index, colour } of lines) {
      ink.strokeStyle = colour;
      ink.beginPath();
      let before = null;
      for (const { time, angles } of this.rows) {
        const angle = angles?.[index] ?? null;
        if (angle !== null) {
          if (before === null || time - before > GAP_S) ink.moveTo(across(time), down(angle));
          else ink.lineTo(across(time), down(angle));
        }
        before = angle === null ? null : time;
      }
      ink.stroke();
    }
  }
}
