import { html } from "./charts.js";

const { AmbientLight, Color, CylinderGeometry, DirectionalLight, GridHelper, Group, HemisphereLight, Mesh, MeshStandardMaterial, OrbitControls, PerspectiveCamera,
  PlaneGeometry, PCFShadowMap, Quaternion, Scene, ShadowMaterial, SphereGeometry, Vector3, WebGLRenderer } = THREE;
const UP = new Vector3(0, 1, 0), GROUND = 0xeef2f6, GREY = 0x8794a5, LEFT = 0x2878d8, RIGHT = 0xe06a10, MIDDLE = 0x3a4657;
const BONE = 0.017, JOINT = 0.027, HEAD = 10, FULL_MM = 30; // millimetres that fill a bar, or more if there are more
const page = JSON.parse(document.getElementById("data").textContent), clip = page.clip;

function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (whole) => whole / clip.unitsPerMetre);
}

class Figure {
  constructor(scene, colours, wide, opacity) {
    this.group = new Group();
    this.wide = wide;
    const ball = new SphereGeometry(1, 20, 14), stick = new CylinderGeometry(1, 1, 1, 14);
    const made = colours.map((colour) => new MeshStandardMaterial({ color: colour, roughness: 0.55, transparent: opacity < 1, opacity }));
    const mesh = (shape, joint) => {
      const one = new Mesh(shape, made[joint]);
      one.castShadow = true;
      this.group.add(one);
      return one;
    };
    this.joints = clip.joints.map((_, joint) => mesh(ball, joint));
    this.bones = clip.bones.map(([joint]) => mesh(stick, joint));
    scene.add(this.group);
  }

  put(at) {
    this.joints.forEach((mesh, joint) => {
      mesh.position.copy(at[joint]);
      mesh.scale.setScalar(JOINT * this.wide * (joint === HEAD ? 1.7 : 1));
    });
    this.bones.forEach((mesh, number) => {
      const [joint, parent] = clip.bones[number], way = at[joint].clone().sub(at[parent]), length = Math.max(way.length(), 1e-6);
      mesh.position.copy(at[parent]).addScaledVector(way, 0.5);
      mesh.quaternion.copy(new Quaternion().setFromUnitVectors(UP, way.divideScalar(length)));
      mesh.scale.set(BONE * this.wide, length, BONE * this.wide);
    });
  }
}

// Camera axes (x right, y down, z away) to three's, the feet on the floor.
function placed(poses, frame, floor) {
  return clip.joints.map((_, joint) => {
    const at = (frame * clip.joints.length + joint) * 3;
    return new Vector3(poses[at], floor - poses[at + 1], -poses[at + 2]);
  });
}

function stage(canvas) {
  const renderer = new WebGLRenderer({ canvas, antialias: true });
  renderer.shadowMap.enabled = true;
  renderer.shadowMap.type = PCFShadowMap;
  const scene = new Scene();
  scene.background = new Color(GROUND);
  const camera = new PerspectiveCamera(34, 1, 0.05, 40);
  camera.position.set(1.9, 1.35, 3.2);
  const controls = new OrbitControls(camera, canvas);
  controls.target.set(0, 0.82, 0);
  controls.enableDamping = true;
  controls.enableZoom = true;
  controls.minDistance = 0.8;
  controls.maxDistance = 9;
  controls.maxPolarAngle = Math.PI * 0.52;
  const sun = new DirectionalLight(0xffffff, 1.9);
  sun.position.set(1.6, 4, 2.4);
  sun.castShadow = true;
  sun.shadow.mapSize.set(1024, 1024);
  Object.assign(sun.shadow.camera, { left: -2, right: 2, top: 2, bottom: -2, near: 0.5, far: 9 });
  const shade = new Mesh(new PlaneGeometry(30, 30), new ShadowMaterial({ opacity: 0.16 }));
  shade.rotation.x = -Math.PI / 2;
  shade.receiveShadow = true;
  const grid = new GridHelper(6, 12, 0xc2ccd8, 0xd8e0e8);
  grid.position.y = -0.002;
  scene.add(sun, new HemisphereLight(0xffffff, 0xc8d2de, 1.5), new AmbientLight(0xffffff, 0.4), shade, grid);
  const size = () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    renderer.setSize(width, height, false);
    camera.aspect = width / Math.max(height, 1);
    camera.updateProjectionMatrix();
  };
  new ResizeObserver(size).observe(canvas.parentElement);
  size();
  return { scene, draw: () => { controls.update(); renderer.render(scene, camera); } };
}

function run() {
  const $ = (id) => document.getElementById(id);
  const poses = Object.fromEntries(Object.entries(clip.poses).map(([row, text]) => [row, unpacked(text)]));
  poses.truth = unpacked(clip.truth);
  const frames = poses.truth.length / (3 * clip.joints.length);
  const name = (key) => {
    if (key === "truth") return "the true pose";
    const row = page.rows[page.main[key]], others = page.main.filter((place) => page.rows[place].precision === row.precision && page.rows[place].backend === row.backend);
    return `${row.precision} · ${row.backend}${others.length > 1 ? ` · ${page.names[page.main[key]]}` : ""}`;
  };
  const rowsOf = Object.keys(clip.poses);
  const option = (key) => html("option", { value: key }, name(key));
  $("deployed").append(...rowsOf.map(option));
  $("beside").append(...[...rowsOf, "truth"].map(option));
  $("magnify").append(...[1, 5, 10, 20].map((factor) => html("option", { value: String(factor) }, factor === 1 ? "as it is" : `${factor} times larger`)));
  const advised = page.main.findIndex((place) => page.recommendation?.artefact === page.rows[place].artefact && page.recommendation?.backend === page.rows[place].backend);
  const int8 = rowsOf.findLast((key) => page.rows[page.main[key]].precision.startsWith("int8"));
  $("deployed").value = String(advised >= 0 ? advised : int8 ?? rowsOf.at(-1));
  const reference = () => {
    const found = clip.references[$("deployed").value];
    $("beside").value = found === null || String(found) === $("deployed").value ? "truth" : String(found);
  };
  reference();
  $("skeleton-lead").textContent = `${frames} frames of ${clip.name}, windows overlapping as in poseedge lift. Grey: what the deployed pose is laid over. A bar is the joint's distance now, its tick the mean of the clip. Drag to turn, scroll to come nearer.`;

  const joints = clip.joints.map((label) => {
    const bar = html("b"), mean = html("u"), said = html("output");
    $("joints").append(html("div", { className: "joint" }, html("span", {}, label.replaceAll("_", " ")), html("i", {}, bar, mean), said));
    return { bar, mean, said };
  });
  const distances = (frame) => {
    const [one, other] = [poses[$("deployed").value], poses[$("beside").value]];
    return clip.joints.map((_, joint) => {
      const at = (frame * clip.joints.length + joint) * 3;
      return 1000 * Math.hypot(one[at] - other[at], one[at + 1] - other[at + 1], one[at + 2] - other[at + 2]);
    });
  };
  let means = [], full = FULL_MM;
  const sum = () => {
    means = clip.joints.map(() => 0);
    for (let frame = 0; frame < frames; frame += 1) distances(frame).forEach((value, joint) => { means[joint] += value / frames; });
    const most = Math.max(...means);
    full = [2, 5, 10, 20, 50, 100, 200, 500].find((each) => each > 2 * most) ?? 1000;
  };

  let theatre = null, deployed = null, beside = null;
  try {
    theatre = stage($("scene"));
    const side = (joint) => (clip.left.includes(joint) ? LEFT : clip.right.includes(joint) ? RIGHT : MIDDLE);
    beside = new Figure(theatre.scene, clip.joints.map(() => GREY), 1.25, 0.5);
    deployed = new Figure(theatre.scene, clip.joints.map((_, joint) => side(joint)), 0.85, 1);
  } catch {
    $("scene").hidden = true;
    $("no-scene").hidden = false;
    $("no-scene").textContent = "This browser draws no 3D (WebGL is off); the distances beside are shown all the same.";
  }

  let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches, at = 0, last = performance.now();
  $("frame").max = String(frames - 1);
  const show = () => {
    const frame = Math.floor(at) % frames, magnify = Number($("magnify").value);
    $("frame").value = String(frame);
    $("clock").textContent = `${(frame / clip.fps).toFixed(2)} s`;
    distances(frame).forEach((value, joint) => {
      joints[joint].bar.style.width = `${Math.min(100 * value / full, 100)}%`;
      joints[joint].mean.style.left = `${Math.min(100 * means[joint] / full, 100)}%`;
      joints[joint].said.textContent = `${value.toFixed(1)} mm`;
    });
    if (!theatre) return;
    let lowest = -Infinity;
    const truth = poses.truth;
    for (let joint = 0; joint < clip.joints.length; joint += 1) lowest = Math.max(lowest, truth[(frame * clip.joints.length + joint) * 3 + 1]);
    const floor = lowest + 0.05, under = placed(poses[$("beside").value], frame, floor), over = placed(poses[$("deployed").value], frame, floor);
    beside.put(under);
    deployed.put(over.map((place, joint) => under[joint].clone().addScaledVector(place.sub(under[joint]), magnify)));
  };
  const press = (on) => {
    playing = on;
    $("play").textContent = on ? "pause" : "play";
  };
  $("play").addEventListener("click", () => press(!playing));
  $("frame").addEventListener("input", () => { press(false); at = Number($("frame").value); show(); });
  $("deployed").addEventListener("change", () => { reference(); sum(); show(); });
  $("beside").addEventListener("change", () => { sum(); show(); });
  $("magnify").addEventListener("change", show);
  press(playing);
  sum();
  show();
  const turn = (now) => {
    if (playing) {
      at = (at + Math.min(Math.max(now - last, 0), 100) / 1000 * clip.fps) % frames; // the clock of frames may lag behind
      show();
    }
    last = now;
    theatre?.draw();
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
}

if (clip && document.getElementById("scene")) run();
