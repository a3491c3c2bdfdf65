// People in 3D: bones and joints on a floor, an orbiting camera.
import {
  AmbientLight, Color, CylinderGeometry, DirectionalLight, Fog, GridHelper, Group, HemisphereLight, Mesh, MeshStandardMaterial,
  OrbitControls, PCFShadowMap, PerspectiveCamera, PlaneGeometry, Quaternion, Scene, ShadowMaterial, SphereGeometry, Vector3, WebGLRenderer,
} from "./three.bundle.js";

const LEFT = 0x40b0ff, RIGHT = 0xff9440, MIDDLE = 0xeceef2, AGAINST = 0x80ffbe, WALL = 0x23272f;
const BONE = 0.022, SLEEVE = 0.036, JOINT = 0.034, HEAD = 10;
const FLOOR = 8, TILE = 2; // metres to each side, and of a tile
const NARROW = 700, PANEL = 340, BESIDE = 0.4; // pixels, of the page's layout
const UP = new Vector3(0, 1, 0);
const MIDDLE_HEIGHT = 0.9;
const VIEWS = { front: [0, 1.3, 4.2], side: [4.2, 1.3, 0.01], top: [0, 5.2, 0.02] };
const cylinder = new CylinderGeometry(1, 1, 1, 14), sphere = new SphereGeometry(1, 20, 14);

function material(colour, faint) {
  return new MeshStandardMaterial({ color: colour, roughness: 0.45, transparent: faint, opacity: faint ? 0.35 : 1 });
}

function glass() {
  return new MeshStandardMaterial({ color: AGAINST, roughness: 0.3, transparent: true, opacity: 0.3, depthWrite: false });
}

// A person, and over it the pose that another network gives: as glass around the first, wider, so that both are seen.
class Person {
  constructor(skeleton) {
    this.skeleton = skeleton;
    this.group = new Group();
    this.against = new Group();
    this.group.add(this.against);
    this.glass = glass();
    const kind = (joint) => skeleton.left.includes(joint) ? LEFT : skeleton.right.includes(joint) ? RIGHT : MIDDLE;
    this.sure = skeleton.joints.map((_, joint) => material(kind(joint), false));
    this.faint = skeleton.joints.map((_, joint) => material(kind(joint), true));
    const mesh = (shape) => {
      const made = new Mesh(shape);
      made.castShadow = true;
      this.group.add(made);
      return made;
    };
    this.joints = skeleton.joints.map(() => mesh(sphere));
    this.bones = skeleton.bones.map(() => mesh(cylinder));
    this.sleeves = skeleton.bones.map(() => {
      const made = new Mesh(cylinder, this.glass);
      this.against.add(made);
      return made;
    });
  }

  put(person, showAgainst) {
    const at = person.joints_m.map(([x, y, z]) => new Vector3(x, y, z));
    this.joints.forEach((mesh, joint) => {
      mesh.position.copy(at[joint]);
      mesh.scale.setScalar(joint === HEAD ? JOINT * 1.6 : JOINT);
      mesh.material = (person.faint[joint] ? this.faint : this.sure)[joint];
    });
    this.bones.forEach((mesh, number) => {
      const [joint, parent] = this.skeleton.bones[number];
      const faint = person.faint[joint] || person.faint[parent];
      this.span(mesh, at, number, faint ? BONE * 0.6 : BONE);
      mesh.material = (faint ? this.faint : this.sure)[joint];
    });
    this.against.visible = showAgainst && Boolean(person.against);
    if (this.against.visible) {
      const there = person.against.joints_m.map(([x, y, z]) => new Vector3(x, y, z));
      this.sleeves.forEach((mesh, number) => this.span(mesh, there, number, SLEEVE));
    }
  }

  // Puts a cylinder between the two ends of a bone.
  span(mesh, at, number, wide) {
    const [joint, parent] = this.skeleton.bones[number];
    const way = at[joint].clone().sub(at[parent]), length = Math.max(way.length(), 1e-6);
    mesh.position.copy(at[parent]).addScaledVector(way, 0.5);
    mesh.quaternion.copy(new Quaternion().setFromUnitVectors(UP, way.divideScalar(length)));
    mesh.scale.set(wide, length, wide);
  }

  dispose() {
    [...this.sure, ...this.faint, this.glass].forEach((made) => made.dispose());
  }
}

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true });
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = PCFShadowMap;
    this.scene = new Scene();
    this.scene.background = new Color(WALL);
    this.scene.fog = new Fog(WALL, 6, 15);
    this.camera = new PerspectiveCamera(38, 1, 0.05, 60);
    this.camera.position.set(-2.5, 1.6, 3.6); // as in a written video: to the left of the source's camera
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.target.set(0, MIDDLE_HEIGHT, 0);
    this.controls.enableDamping = true;
    this.controls.maxPolarAngle = Math.PI * 0.52;
    this.controls.minDistance = 0.8;
    this.controls.maxDistance = 12;
    this.people = new Map();
    this.against = true;
    this.furnish();
    this.onResize = () => this.resize();
    window.addEventListener("resize", this.onResize);
    this.resize();
  }

  furnish() {
    const sun = new DirectionalLight(0xffffff, 2.1);
    sun.position.set(1.5, 5, 2.5);
    sun.castShadow = true;
    sun.shadow.mapSize.set(1024, 1024);
    Object.assign(sun.shadow.camera, { left: -3, right: 3, top: 3, bottom: -3, near: 0.5, far: 12 });
    const shade = new Mesh(new PlaneGeometry(40, 40), new ShadowMaterial({ opacity: 0.38, depthWrite: false }));
    shade.rotation.x = -Math.PI / 2;
    shade.receiveShadow = true;
    // In tiles: software drawing leaves out lines that end behind the camera.
    for (let x = -FLOOR; x <= FLOOR; x += TILE) {
      for (let z = -FLOOR; z <= FLOOR; z += TILE) {
        const grid = new GridHelper(TILE, 2 * TILE, 0x4a515f, 0x3f4653);
        grid.position.set(x, -0.002, z);
        this.scene.add(grid);
      }
    }
    shade.renderOrder = 1; // over the grid
    this.scene.add(sun, new HemisphereLight(0xdfe8ff, 0x3a3128, 1.3), new AmbientLight(0xffffff, 0.35), shade);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / Math.max(height, 1);
    if (width > NARROW) this.camera.setViewOffset(width, height, BESIDE * PANEL, 0, width, height); // people left of the panel
    else this.camera.clearViewOffset();
    this.camera.updateProjectionMatrix();
  }

  look(name) {
    this.camera.position.set(...VIEWS[name]);
    this.controls.target.set(0, MIDDLE_HEIGHT, 0);
  }

  set turning(on) {
    this.controls.autoRotate = on;
    this.controls.autoRotateSpeed = 4;
  }

  // Shows or hides what another network gives.
  showAgainst(on) {
    this.against = on;
    for (const person of this.people.values()) person.against.visible &&= on;
  }

  // Shows these people and no others.
  put(skeleton, people) {
    const here = new Set(people.map(({ id }) => id));
    for (const person of people) {
      if (!this.people.has(person.id)) {
        const made = new Person(skeleton);
        this.people.set(person.id, made);
        this.scene.add(made.group);
      }
      this.people.get(person.id).put(person, this.against);
    }
    for (const [id, person] of this.people) {
      if (!here.has(id)) {
        this.scene.remove(person.group);
        person.dispose();
        this.people.delete(id);
      }
    }
  }

  draw() {
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
  }
}
