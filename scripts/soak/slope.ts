/** Slope of the line of least squares through points; 0 where there are fewer than two. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const x = mean(points.map(([value]) => value));
  const y = mean(points.map(([, value]) => value));
  let above = 0;
  let below = 0;
  for (const [px, py] of points) {
    above += (px - x) * (py - y);
    below += (px - x) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
