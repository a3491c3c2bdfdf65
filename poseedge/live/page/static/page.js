// Fetches frames one after the other and shows the newest: a slow browser is given fewer.
import { Stage } from "./scene.js";
import { Plot } from "./plot.js";

const COLOURS = { knee: ["#40b0ff", "#ff9440"], hip: ["#7ee0c3", "#ffd166"], elbow: ["#9d8cff", "#ff7aa8"], shoulder: ["#5fd068", "#e86a6a"] };
const FIRST = ["left_knee", "right_knee"];
const by = (id) => document.getElementById(id);
const stage = new Stage(by("scene")), plot = new Plot(by("plot"));
let socket = null, skeleton = null, newest = null, chosen = null, angles = [];

const text = (element, words) => {
  if (element.textContent !== words) element.textContent = words;
};
const pressed = (button) => button.getAttribute("aria-pressed") === "true";
const press = (button, on) => button.setAttribute("aria-pressed", String(on));

function begin(hello) {
  skeleton = hello;
  text(by("title"), hello.title);
  by("record-box").hidden = !hello.live;
  by("downloads").hidden = hello.live; // until something is recorded
  by("against-box").hidden = !hello.against;
  text(by("against"), hello.against ?? "");
  document.title = `poseedge: ${hello.source}`;
  angles = hello.angles.map((name, index) => {
    const [side, joint] = name.split("_");
    const button = document.createElement("button"), dot = document.createElement("i"), value = document.createElement("b");
    const colour = COLOURS[joint][side === "left" ? 0 : 1];
    dot.style.background = colour;
    button.className = "angle";
    button.append(dot, name.replace("_", " "), value);
    press(button, FIRST.includes(name));
    button.onclick = () => press(button, !pressed(button));
    return { index, colour, button, value };
  });
  by("angles").replaceChildren(...angles.map(({ button }) => button));
}

function choose(people) {
  const ids = people.map(({ id }) => id);
  if (!ids.includes(chosen) && ids.length) {
    chosen = ids[0];
    plot.clear();
  }
  const known = ids.join();
  if (by("people").dataset.ids !== known) {
    by("people").dataset.ids = known;
    const buttons = ids.map((id) => {
      const button = document.createElement("button");
      button.textContent = `person ${id}`;
      button.dataset.id = id;
      button.onclick = () => {
        chosen = id;
        plot.clear();
      };
      return button;
    });
    by("people").replaceChildren(...(buttons.length ? buttons : ["nobody in sight"]));
  }
  for (const button of by("people").querySelectorAll("button")) press(button, Number(button.dataset.id) === chosen);
}

function take(frame) {
  newest = frame;
  choose(frame.people);
  const person = frame.people.find(({ id }) => id === chosen);
  plot.add(frame.time, person?.angles_deg ?? null);
  for (const { index, value } of angles) text(value, person?.angles_deg[index] == null ? "" : `${Math.round(person.angles_deg[index])}°`);
  const apart = person?.against?.distance_mm;
  text(by("distance"), apart == null ? "" : `${apart.toFixed(1)} mm away`);
  const minutes = Math.floor(frame.time / 60), seconds = (frame.time % 60).toFixed(2).padStart(5, "0");
  const facts = [`${minutes}:${seconds}`];
  if (frame.fps) facts.push(`${frame.fps.toFixed(0)} fps`);
  if (frame.delay_ms != null) facts.push(`delay ${frame.delay_ms} ms`);
  text(by("status"), facts.join(" · "));
  if (frame.recording) {
    const { running, frames } = frame.recording;
    press(by("record"), running);
    text(by("record"), running ? "stop" : "record");
    text(by("recorded"), frames ? `${frames} frames` : "");
    by("downloads").hidden = running || !frames;
  }
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/frames`);
  const want = () => socket.send(JSON.stringify({ want: "frame" }));
  let over = false;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "hello") begin(message);
    else if (message.type === "frame") take(message);
    else if (message.type === "end") over = true;
    if (!over) want();
  };
  socket.onclose = () => {
    text(by("status"), over ? "ended" : "connection lost");
    if (!over) setTimeout(connect, 1000);
  };
}

by("record").onclick = () => {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ record: !pressed(by("record")) }));
};
for (const button of document.querySelectorAll("[data-view]")) button.onclick = () => stage.look(button.dataset.view);
by("against").onclick = () => {
  press(by("against"), !pressed(by("against")));
  stage.showAgainst(pressed(by("against")));
};
by("turn").onclick = () => {
  press(by("turn"), !pressed(by("turn")));
  stage.turning = pressed(by("turn"));
};

function draw() {
  requestAnimationFrame(draw);
  if (newest) {
    stage.put(skeleton, newest.people);
    plot.draw(angles.filter(({ button }) => pressed(button)));
    newest = null;
  }
  stage.draw();
}

connect();
draw();
