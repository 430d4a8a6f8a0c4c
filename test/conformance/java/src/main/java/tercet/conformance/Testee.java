package tercet.conformance;

import tercet.v1.SyncServiceGrpc;

public final class Testee {
  public static void main(String[] args) { System.out.println(SyncServiceGrpc.getExchangeMethod()); }
}
