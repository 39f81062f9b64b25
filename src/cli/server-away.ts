/** ServerAway: nobody answers just now, or somebody does who cannot: it may be otherwise a moment later. */
export class ServerAway extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ServerAway";
  }
}
